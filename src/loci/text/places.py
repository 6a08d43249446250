"""Which town lies in which country or state: who lives in Porto and says "I live in Portugal" has not moved.

A name that several countries have lies in each of them. The list is of towns that many live in, and what is not in it lies nowhere.
"""

from __future__ import annotations

from loci.text.wording.words import wordset

# names of more than one word have "_" between them; a state or part of a country is in the list of its country too
_WITHIN = {
    "portugal": "lisbon lisboa porto oporto braga coimbra faro evora aveiro funchal sintra cascais setubal madeira azores algarve vila_nova_de_gaia"
    " viana_do_castelo",
    "spain": "madrid barcelona valencia seville sevilla zaragoza malaga bilbao alicante granada cordoba vigo gijon salamanca tarragona la_coruña"
    " las_palmas palma cadiz pamplona toledo palma_de_mallorca santiago_de_compostela san_sebastian san_sebastián catalonia andalusia galicia mallorca tenerife",
    "france": "paris lyon marseille toulouse nantes strasbourg montpellier bordeaux lille rennes dijon grenoble caen brest angers provence brittany"
    " normandy corsica alsace",
    "germany": "berlin hamburg munich cologne köln frankfurt stuttgart dusseldorf düsseldorf dortmund essen leipzig bremen dresden hanover hannover"
    " nuremberg nürnberg bonn münster karlsruhe mannheim augsburg wiesbaden aachen kiel freiburg erfurt mainz rostock kassel potsdam heidelberg"
    " darmstadt regensburg würzburg göttingen jena tübingen konstanz bamberg chemnitz lübeck lubeck saarbrücken wolfsburg trier schwerin stralsund"
    " bavaria saxony hesse",
    "austria": "vienna graz linz salzburg innsbruck klagenfurt tyrol",
    "switzerland": "zurich zürich geneva basel bern lausanne lucerne lugano winterthur",
    "italy": "rome milan naples turin palermo genoa bologna florence bari catania venice verona trieste padua modena pisa salerno sicily sardinia tuscany"
    " lombardy",
    "netherlands": "amsterdam rotterdam utrecht eindhoven groningen tilburg haarlem leiden maastricht delft the_hague den_haag",
    "belgium": "brussels antwerp ghent bruges leuven liege flanders wallonia",
    "england": "london manchester birmingham leeds liverpool sheffield bristol newcastle nottingham leicester coventry bradford southampton plymouth"
    " derby norwich oxford cambridge brighton york exeter preston durham cornwall devon kent yorkshire",
    "scotland": "edinburgh glasgow aberdeen dundee inverness",
    "wales": "cardiff swansea newport",
    "ireland": "dublin galway limerick waterford belfast",
    "norway": "oslo bergen trondheim stavanger tromsø",
    "sweden": "stockholm gothenburg malmo malmö uppsala lund",
    "denmark": "copenhagen aarhus odense aalborg",
    "finland": "helsinki tampere turku oulu espoo",
    "iceland": "reykjavik",
    "poland": "warsaw krakow lodz wroclaw poznan gdansk szczecin katowice lublin",
    "czechia": "prague brno ostrava plzen",
    "hungary": "budapest debrecen szeged",
    "romania": "bucharest cluj timisoara brasov",
    "bulgaria": "sofia plovdiv varna",
    "greece": "athens thessaloniki patras heraklion crete",
    "croatia": "zagreb split rijeka zadar",
    "serbia": "belgrade novi_sad",
    "slovenia": "ljubljana maribor",
    "slovakia": "bratislava kosice",
    "ukraine": "kyiv kharkiv odessa lviv dnipro",
    "russia": "moscow novosibirsk yekaterinburg kazan siberia st_petersburg",
    "turkey": "istanbul ankara izmir bursa antalya",
    "israel": "jerusalem haifa tel_aviv",
    "egypt": "cairo alexandria giza",
    "morocco": "casablanca rabat marrakech fes tangier",
    "nigeria": "lagos abuja ibadan kano",
    "kenya": "nairobi mombasa",
    "south africa": "johannesburg pretoria durban cape_town",
    "india": "mumbai delhi new_delhi bangalore bengaluru hyderabad chennai kolkata pune ahmedabad jaipur surat kerala goa",
    "pakistan": "karachi lahore islamabad peshawar multan",
    "china": "beijing shanghai shenzhen guangzhou chengdu wuhan hangzhou nanjing chongqing xian shenyang",
    "japan": "tokyo osaka kyoto yokohama nagoya sapporo kobe fukuoka hiroshima sendai okinawa hokkaido",
    "south korea": "seoul busan incheon daegu",
    "thailand": "bangkok phuket",
    "vietnam": "hanoi saigon ho_chi_minh_city",
    "indonesia": "jakarta bali surabaya",
    "philippines": "manila cebu davao",
    "malaysia": "kuala_lumpur penang kuching",
    "australia": "sydney melbourne brisbane perth fremantle adelaide canberra hobart darwin queensland tasmania victoria",
    "new zealand": "auckland wellington christchurch dunedin",
    "canada": "toronto montreal vancouver ottawa calgary edmonton winnipeg quebec halifax ontario alberta manitoba british_columbia nova_scotia",
    "ontario": "toronto ottawa hamilton london kingston", "quebec": "montreal laval gatineau", "alberta": "calgary edmonton",
    "british columbia": "vancouver victoria kelowna",
    "mexico": "guadalajara monterrey tijuana cancun puebla mexico_city",
    "brazil": "sao_paulo são_paulo rio_de_janeiro brasilia salvador recife fortaleza curitiba belo_horizonte porto_alegre",
    "argentina": "buenos_aires cordoba rosario mendoza patagonia",
    "colombia": "bogota medellin cali cartagena", "peru": "lima cusco arequipa", "chile": "santiago valparaiso", "ecuador": "quito guayaquil cuenca",
    "uruguay": "montevideo", "venezuela": "caracas maracaibo valencia", "cuba": "havana",
    "bolivia": "la_paz", "costa rica": "san_jose san_josé", "ghana": "accra", "algeria": "algiers oran", "tunisia": "tunis", "ethiopia": "addis_ababa",
    "tanzania": "dar_es_salaam", "uganda": "kampala", "rwanda": "kigali", "zimbabwe": "harare", "angola": "luanda", "mozambique": "maputo",
    "senegal": "dakar", "saudi arabia": "riyadh jeddah", "united arab emirates": "dubai abu_dhabi", "qatar": "doha", "iraq": "baghdad mosul",
    "iran": "tehran isfahan shiraz", "kazakhstan": "almaty astana", "azerbaijan": "baku", "armenia": "yerevan", "cyprus": "nicosia limassol",
    "malta": "valletta", "albania": "tirana", "north macedonia": "skopje", "belarus": "minsk", "estonia": "tallinn tartu", "latvia": "riga",
    "lithuania": "vilnius kaunas", "sri lanka": "colombo", "bangladesh": "dhaka", "nepal": "kathmandu", "cambodia": "phnom_penh", "taiwan": "taipei",
    "alabama": "birmingham montgomery huntsville mobile", "alaska": "anchorage juneau", "arizona": "phoenix tucson scottsdale tempe mesa",
    "california": "los_angeles san_francisco san_diego san_jose san_josé sacramento glendale oakland fresno long_beach anaheim berkeley santa_monica santa_barbara santa_cruz"
    " palo_alto mountain_view pasadena hollywood stockton",
    "colorado": "denver boulder colorado_springs aurora", "connecticut": "hartford stamford",
    "florida": "miami orlando tampa jacksonville tallahassee", "georgia": "atlanta savannah augusta tbilisi", "hawaii": "honolulu maui",
    "idaho": "boise", "illinois": "chicago springfield", "indiana": "indianapolis", "iowa": "des_moines", "arkansas": "little_rock", "kansas": "wichita topeka",
    "kentucky": "louisville lexington", "louisiana": "new_orleans baton_rouge", "maine": "portland bangor", "maryland": "baltimore annapolis",
    "massachusetts": "boston cambridge springfield worcester", "michigan": "detroit ann_arbor lansing", "minnesota": "minneapolis saint_paul st_paul",
    "missouri": "saint_louis st_louis kansas_city springfield", "nebraska": "omaha lincoln", "nevada": "las_vegas reno",
    "new jersey": "newark jersey_city trenton", "new mexico": "albuquerque santa_fe",
    "new york": "new_york_city nyc manhattan brooklyn queens bronx buffalo rochester albany ithaca",
    "north carolina": "charlotte raleigh durham asheville greensboro", "ohio": "columbus cleveland cincinnati dayton toledo", "oklahoma": "tulsa oklahoma_city",
    "oregon": "portland eugene salem", "pennsylvania": "philadelphia pittsburgh", "rhode island": "providence", "south carolina": "charleston columbia",
    "tennessee": "nashville memphis knoxville chattanooga",
    "texas": "austin houston dallas san_antonio el_paso fort_worth plano denton", "utah": "salt_lake_city provo", "virginia": "richmond norfolk virginia_beach",
    "washington": "seattle spokane tacoma", "wisconsin": "milwaukee madison",
}  # fmt: skip
_STATES = """alabama alaska arizona california colorado connecticut florida georgia hawaii idaho illinois indiana iowa kansas kentucky louisiana maine
    maryland massachusetts michigan minnesota mississippi missouri montana nebraska nevada new_hampshire new_jersey new_mexico new_york north_carolina
    north_dakota ohio oklahoma oregon pennsylvania rhode_island south_carolina south_dakota tennessee texas utah vermont virginia washington wisconsin
    wyoming west_virginia delaware arkansas"""
_SAME = {
    "uk": "uk", "united kingdom": "uk", "great britain": "uk", "britain": "uk", "us": "usa", "usa": "usa", "united states": "usa", "states": "usa",
    "united states of america": "usa", "america": "usa", "u.s": "usa", "u.k": "uk", "uae": "united arab emirates", "holland": "netherlands", "czech republic": "czechia",
}  # fmt: skip
_CODES = {
    "al": "alabama", "ak": "alaska", "az": "arizona", "ar": "arkansas", "ca": "california", "co": "colorado", "ct": "connecticut", "de": "delaware",
    "fl": "florida", "ga": "georgia", "hi": "hawaii", "id": "idaho", "il": "illinois", "in": "indiana", "ia": "iowa", "ks": "kansas", "ky": "kentucky",
    "la": "louisiana", "me": "maine", "md": "maryland", "ma": "massachusetts", "mi": "michigan", "mn": "minnesota", "ms": "mississippi", "mo": "missouri",
    "mt": "montana", "ne": "nebraska", "nv": "nevada", "nh": "new hampshire", "nj": "new jersey", "nm": "new mexico", "ny": "new york",
    "nc": "north carolina", "nd": "north dakota", "oh": "ohio", "ok": "oklahoma", "or": "oregon", "pa": "pennsylvania", "ri": "rhode island",
    "sc": "south carolina", "sd": "south dakota", "tn": "tennessee", "tx": "texas", "ut": "utah", "vt": "vermont", "va": "virginia", "wa": "washington",
    "wv": "west virginia", "wi": "wisconsin", "wy": "wyoming",
}  # fmt: skip
_PARTS = {region: frozenset(name.replace("_", " ") for name in wordset(names)) for region, names in _WITHIN.items()} | {
    "usa": frozenset(name.replace("_", " ") for name in wordset(_STATES)),
    "uk": frozenset(["england", "scotland", "wales", "northern ireland", "belfast"]),
}
TOWNS = frozenset().union(*_PARTS.values())
"""Towns, and parts of countries."""


def town_of(address: str) -> str | None:
    """Return the listed town behind the street of an address in small letters: "12 elm street, ls1 4dy leeds" is in "leeds"."""
    behind, _, region = address.partition(", ")[2].partition(", ")
    town = _without_code(behind)
    return told_apart(town, region) or (town if town in TOWNS else None)


def _without_code(part: str) -> str:
    """Return the words of a part of an address that are no postal code."""
    return " ".join(word for word in part.split() if not any(map(str.isdigit, word)))


def _regions(town: str) -> list[str]:
    """Return the countries and states that a town of this name lies in, without those that others of them lie in."""
    found = [region for region, parts in _PARTS.items() if town in parts]
    return [region for region in found if not any(other in _PARTS[region] for other in found)]


def lies_there(address: str, place: str) -> bool | None:
    """Tell whether an address is in a place or around it, by what stands behind its street; None where that does not say."""
    town = town_of(address)
    parts = [_without_code(part) for part in address.split(", ")[1:]] if town is None else [town]
    if any(is_same(part, place) or lies_in(part, place) or lies_in(place, part) for part in parts):
        return True
    return None if town is None else False


_NAMESAKES = frozenset(town for town in TOWNS if len(_regions(town)) > 1)


def told_apart(town: str, region: str) -> str | None:
    """Return "portland, oregon" for a town of a name that several have, and the state or country that is told with it; None for any other.
    A state may be told by its code in capitals."""
    name = region.lower()
    name = _CODES.get(name, name) if region.isupper() else name
    name = _SAME.get(name, name)
    return f"{town}, {name}" if town in _NAMESAKES and (name in _PARTS or name in _PARTS["usa"]) else None


def is_same(a: str, b: str) -> bool:
    """Tell whether two places may be one: of one name, and not in different states or countries as far as these are told."""
    (town, _, region), (other, _, other_region) = a.partition(", "), b.partition(", ")
    if town != other or not region or not other_region:
        return town == other
    return region == other_region or lies_in(region, other_region) or lies_in(other_region, region)


def lies_in(place: str, region: str) -> bool:
    """Tell whether the one place is in the other, by their names in small letters; "portland, oregon" is in "oregon" and not in "maine"."""
    _, _, within = place.partition(", ")
    if within:
        return within == _SAME.get(region, region) or lies_in(within, region)
    parts = _PARTS.get(_SAME.get(region, region))
    return parts is not None and (place in parts or any(part in _PARTS and place in _PARTS[part] for part in parts))
