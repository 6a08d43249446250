"""Names as they are spelled, and words that are none, for turns written in small letters (`loci.text.wording.casing`)."""

from __future__ import annotations

from loci.text.entities import ORDINARY, PLACES
from loci.text.places import TOWNS
from loci.text.tokens import STOPWORDS
from loci.text.wording.values import FIRMS, MONTHS, SOFTWARE
from loci.text.wording.verbs import CAR_MAKES, KIN
from loci.text.wording.words import wordset

_NO_NAMES_ALONE = wordset("us uk turkey china chile buffalo phoenix split mobile mesa angers providence aurora mini seat smart")

MAKES = {make.casefold(): make for make in CAR_MAKES.split() if make.casefold() not in _NO_NAMES_ALONE}
SPELLED = {
    **{place: place.capitalize() for place in PLACES | TOWNS if " " not in place and place not in _NO_NAMES_ALONE},
    **{month: month.capitalize() for month in MONTHS if month not in ("may", "march")},
    **{firm: firm.capitalize() for firm in FIRMS},
    **MAKES,
}
"""Names that are names wherever they stand, by their small letters."""
PHRASES = frozenset(place for place in PLACES | TOWNS if " " in place) | {"mini cooper"}
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
NO_NAMES = ORDINARY | SOFTWARE - wordset("julia ruby claude") | frozenset(KIN) | _CHAT | wordset(_BARE)
"""Words that stand behind "in", "at", "called" and the like, and are no names."""
CLOSERS = STOPWORDS | _CHAT | frozenset(MONTHS) | wordset(
    """now today yesterday tonight tomorrow lately currently recently again still too already ago back anymore nowadays permanently temporarily
    remotely full-time part-time though actually anyway instead last next this since until till these those so also finally"""
)  # fmt: skip
"""Words behind which a name has ended."""
