"""Adjectives that are written with a capital letter: where somebody or something is from, what they believe. They name nobody."""

from __future__ import annotations

from loci.text.wording.words import wordset

_ORIGINS = wordset(
    """afghan african albanian algerian american andalusian angolan arab arabian arabic argentine argentinian armenian asian australian austrian
    azerbaijani bahraini bangladeshi basque bavarian belarusian belgian bengali berber bolivian bosnian brazilian breton british bulgarian burmese
    californian cambodian cameroonian canadian caribbean catalan chechen chilean chinese colombian congolese corsican croatian cuban cypriot czech
    danish dominican dutch ecuadorian egyptian english eritrean estonian ethiopian european fijian filipino finnish flemish french galician georgian
    german ghanaian greek guatemalan guinean haitian hawaiian hispanic honduran hungarian icelandic indian indonesian iranian iraqi irish israeli
    italian ivorian jamaican japanese jordanian kazakh kenyan korean kosovan kurdish kuwaiti laotian latin latina latino latvian lebanese liberian
    libyan lithuanian malaysian maltese maori mediterranean mexican moldovan mongolian montenegrin moroccan mozambican namibian nepalese nepali
    nicaraguan nigerian nordic norwegian omani pakistani palestinian panamanian paraguayan persian peruvian polish polynesian portuguese punjabi
    qatari romani romanian russian rwandan salvadoran samoan sardinian saudi scandinavian scottish senegalese serbian siamese siberian sicilian
    singaporean slavic slovak slovakian slovene slovenian somali spanish sudanese swedish swiss syrian taiwanese tamil tanzanian texan thai tibetan
    tunisian turkish ugandan ukrainian uruguayan uzbek venezuelan vietnamese welsh yemeni zambian zimbabwean"""
)
_BELIEFS = wordset(
    """agnostic amish anglican atheist baptist buddhist catholic christian evangelical hindu jain jewish lutheran mennonite methodist mormon muslim
    orthodox pagan pentecostal presbyterian protestant quaker shia sikh sunni taoist"""
)
_ADJECTIVES = _ORIGINS | _BELIEFS
_MODIFIERS = wordset(
    "north south east west northern southern eastern western central new latin roman greek anglo afro half sri born bred and"
)
_TAKING = wordset(
    """citizenship ethnicity heritage ancestry origin faith denomination language tongue accent subject food cuisine dish cooking
    kitchen cheese wine beer tea coffee chocolate bread music literature cinema"""
)  # nouns whose value such an adjective may be: "my nationality is German", "my favourite cuisine is Thai"


def is_origin(words: str) -> bool:
    """Tell whether a capitalised phrase only says where from or of what belief: "German", "Irish-American", "Roman Catholic"."""
    told = words.casefold().replace("-", " ").split()
    told = told[1:] if told[:1] in (["a"], ["an"]) else told
    return bool(told) and told[-1] in _ADJECTIVES and all(word in _ADJECTIVES or word in _MODIFIERS for word in told)


def takes_origin(attribute: str) -> bool:
    """Tell whether the value of an attribute can be such an adjective."""
    return attribute.rpartition("/")[2].split()[-1] in _TAKING
