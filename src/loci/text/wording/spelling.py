"""Names as they are spelled, and words that are none, for turns written in small letters (`loci.text.wording.casing`)."""

from __future__ import annotations

from loci.text.entities import ORDINARY, PLACES
from loci.text.tokens import STOPWORDS
from loci.text.wording.values import FIRMS, MONTHS, SOFTWARE
from loci.text.wording.verbs import CAR_MAKES, KIN
from loci.text.wording.words import wordset

# towns besides those of `entities`, none of which is an English word
_TOWNS = """aachen aarhus abuja accra adelaide ahmedabad albuquerque algiers alicante almaty anaheim anchorage ankara antwerp aberdeen asheville
    augsburg baku baltimore bamberg bangalore bengaluru basel bergen bern bilbao birmingham boise bologna bonn bordeaux bradford brasilia
    bratislava braga bremen brighton bruges bucharest buffalo busan cadiz caen canberra caracas cardiff casablanca catania charleston
    charlotte chattanooga chemnitz chengdu chennai chongqing christchurch cincinnati cleveland coimbra colombo copenhagen cordoba coventry
    cuenca curitiba darmstadt darwin davao denton derby detroit dhaka dijon doha dortmund dresden dundee durban durham dusseldorf düsseldorf
    eindhoven erfurt essen evora faro fes fortaleza fremantle freiburg fukuoka funchal galway gdansk geneva genoa ghent gijon giza glendale
    gothenburg göttingen granada graz greensboro grenoble groningen guadalajara guangzhou guayaquil haarlem haifa halifax hangzhou hanover
    hannover harare heidelberg hiroshima hobart honolulu hyderabad ibadan indianapolis innsbruck islamabad izmir jaipur jeddah jena kampala
    kansas karlsruhe kassel katowice kaunas kharkiv kigali kingston kobe köln kolkata konstanz krakow kuching lausanne leeds leicester
    leiden leipzig leuven lille limassol limerick linz liverpool ljubljana lodz louisville lubeck lübeck lucerne lugano luxembourg luanda
    maastricht madison mainz malaga malmo malmö mannheim maputo marrakech marseille medellin melbourne memphis milwaukee minsk modena
    monterrey montevideo montpellier mosul multan mumbai münster nagoya nanjing nantes newark newcastle nicosia norwich nottingham
    nuremberg nürnberg oakland odense odessa oklahoma omaha oporto orlando osaka oulu ottawa oxford padua palermo palma pamplona patras
    peshawar phoenix pisa plovdiv plymouth porto poznan potsdam preston pretoria pune providence quito rabat raleigh recife regensburg
    reykjavik riga riyadh rochester rostock rotterdam saarbrücken saigon salamanca salerno salvador salzburg sapporo savannah schwerin
    scottsdale sendai seville sheffield shenyang skopje sofia southampton spokane stavanger stockton strasbourg stralsund surabaya surat
    szczecin szeged tampa tampere tangier tarragona tbilisi thessaloniki tijuana tilburg tirana toledo toulouse trieste trier trondheim
    tucson tulsa tunis turin turku tübingen uppsala utrecht valletta valparaiso verona vigo vilnius wiesbaden winnipeg wolfsburg wroclaw
    wuhan würzburg xian yokohama york yerevan zagreb zaragoza zürich bavaria catalonia andalusia provence tuscany sicily sardinia corsica
    scotland brittany normandy flanders siberia patagonia europe"""
_PHRASES = """san jose|san josé|santa cruz|santa monica|santa barbara|santa fe|san antonio|fort worth|long beach|virginia beach|saint louis|saint paul|st louis
    |st petersburg|sao paulo|são paulo|belo horizonte|porto alegre|ho chi minh city|addis ababa|dar es salaam|phnom penh|abu dhabi|tel aviv|ann arbor|palo alto
    |mountain view|baton rouge|des moines|el paso|little rock|kansas city|oklahoma city|jersey city|the hague|den haag|novi sad|vila nova de gaia
    |viana do castelo|la paz|la coruña|las palmas|palma de mallorca|santiago de compostela|san sebastián|san sebastian|the netherlands"""
_NO_NAMES_ALONE = wordset("us uk turkey china chile buffalo charlotte phoenix mini seat smart")

MAKES = {make.casefold(): make for make in CAR_MAKES.split() if make.casefold() not in _NO_NAMES_ALONE}
SPELLED = {
    **{place: place.capitalize() for place in (*PLACES, *_TOWNS.split()) if " " not in place and place not in _NO_NAMES_ALONE},
    **{month: month.capitalize() for month in MONTHS if month not in ("may", "march")},
    **{firm: firm.capitalize() for firm in FIRMS},
    **MAKES,
}
"""Names that are names wherever they stand, by their small letters."""
PHRASES = frozenset(place for place in PLACES if " " in place) | frozenset(place.strip() for place in _PHRASES.split("|")) | {"mini cooper"}
"""The same of more than one word."""
# what stands where names do, without an article, and is none
_BARE = """university uni college job peace fear hope denial poverty luxury harmony silence solitude squalor misery bliss comfort exile limbo isolation chaos
    suburbia sin pain hell heaven paradise reality agony darkness style abundance trouble bed class therapy charge shape shock tears debt prison
    jail hospital church court town downtown uptown midtown campus public private social shared temporary constant student rural urban central
    northern southern eastern western north south east west coastal inner outer middle kindergarten preschool grad nursing law medical med
    art homes office headquarters noon dawn dusk midnight sea lunch breakfast dinner height length speed scale capacity pace ground peak
    free money cash food pay peanuts charity commission pleasure experience exposure credit profit remote hybrid part-time full-time parttime
    fulltime management sales marketing engineering finance hr it design support accounting legal research product production operations
    logistics retail hospitality healthcare education consulting freelance contract government local federal international independent
    startup nonprofit corporate english spanish french german italian action plan pass other forces hands hand heart hire ranks late early
    online within forever coffee tea sugar alcohol caffeine nicotine meat dairy gluten carbs soda weed cold band football soccer basketball tennis
    dance ballet piano choir gym crossfit bootcamp practice behind alone unfinished earth planet nature country countryside city village
    suburbs woods forest desert mountains spring summer autumn fall winter mass service live virtual weekly daily somebody anyone anybody
    everyone anything whoever wherever somewhere anywhere nowhere double red blue green progress improvement folk children babe sweetheart
    mine zero two three four five six seven eight nine ten already ago back anymore lately nowadays apart abroad overseas nearby outside inside upstairs
    downstairs separate different various both half okay worse terrible tired busy pregnant single married engaged vegan vegetarian allergic
    dead gone lost broken closed open done sure awful boring quiet noisy expensive cheap rich poor warm hot freezing foggy rainy sunny insane
    easy fast slow key
    litter shower fight sitter walker collar group side circle party birthday wedding car phone number email name died left quit asked
    yelled slept ate sang made took went came combat fix solve improve reduce avoid create become give learn although unless yet
    minimum midday commercial professional personal academic general senior junior lead head chief assistant fintech tech biotech media
    advertising insurance banking real construction manufacturing shift night nights mistake email text accident chance default whom"""
_CHAT = wordset(
    "lol haha hahaha btw tbh imo imho rn atm lmao omg ugh yay yep nope nah pls plz thx ofc idk ngl fr bc cuz coz cause tho lolol xd"
)
NO_NAMES = ORDINARY | SOFTWARE | frozenset(KIN) | _CHAT | wordset(_BARE) - {"europe"}
"""Words that stand behind "in", "at", "called" and the like, and are no names."""
CLOSERS = STOPWORDS | _CHAT | frozenset(MONTHS) | wordset(
    """now today yesterday tonight tomorrow lately currently recently again still too already ago back anymore nowadays permanently temporarily
    remotely full-time part-time though actually anyway instead last next this since until till these those so also finally"""
)  # fmt: skip
"""Words behind which a name has ended."""
