"""Expressions of time, resolved against Thursday 25 May 2023, 13:14."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from loci.text.dates import asks_when, has_time, mentions, window

ANCHOR = datetime(2023, 5, 25, 13, 14)
NOW = "2023-05-25T13:14"


def at(words: str) -> datetime:
    return datetime.fromisoformat(words)


# text | the words of the mention | earliest | latest | grain
CASES = [
    # days and their parts
    ("I ran today", "today", "2023-05-25", "2023-05-26", "day"),
    ("I ran yesterday.", "yesterday", "2023-05-24", "2023-05-25", "day"),
    ("Yesterday's news", "Yesterday", "2023-05-24", "2023-05-25", "day"),
    ("See you tomorrow", "tomorrow", "2023-05-26", "2023-05-27", "day"),
    ("the day before yesterday", "the day before yesterday", "2023-05-23", "2023-05-24", "day"),
    ("The day after tomorrow", "The day after tomorrow", "2023-05-27", "2023-05-28", "day"),
    ("See you tonight", "tonight", "2023-05-25T18:00", "2023-05-26T06:00", "part"),
    ("Last night was fun", "Last night", "2023-05-24T18:00", "2023-05-25T06:00", "part"),
    ("I ran this morning", "this morning", "2023-05-25T05:00", "2023-05-25T12:00", "part"),
    ("tomorrow morning", "tomorrow morning", "2023-05-26T05:00", "2023-05-26T12:00", "part"),
    ("I danced Friday night", "Friday night", "2023-05-19T18:00", "2023-05-20T06:00", "part"),
    ("on the evening of May 3rd I left", "the evening of May 3rd", "2023-05-03T17:00", "2023-05-03T23:00", "part"),
    ("I saw her the other day", "the other day", "2023-05-18T13:14", "2023-05-25", "span"),
    # weekdays
    ("I met her on Friday", "Friday", "2023-05-19", "2023-05-20", "day"),
    ("I'll meet her on Friday", "Friday", "2023-05-26", "2023-05-27", "day"),
    ("Lunch on Friday", "Friday", "2023-05-26", "2023-05-27", "day"),
    ("I went on Thursday", "Thursday", "2023-05-18", "2023-05-19", "day"),
    ("I went there last Saturday", "last Saturday", "2023-05-20", "2023-05-21", "day"),
    ("last Thursday", "last Thursday", "2023-05-18", "2023-05-19", "day"),
    ("this Friday", "this Friday", "2023-05-26", "2023-05-27", "day"),
    ("this past Monday", "this past Monday", "2023-05-22", "2023-05-23", "day"),
    ("next Friday", "next Friday", "2023-06-02", "2023-06-03", "day"),
    ("next Monday", "next Monday", "2023-05-29", "2023-05-30", "day"),
    ("my car broke down last fri", "last fri", "2023-05-19", "2023-05-20", "day"),
    ("on Sun I slept", "Sun", "2023-05-21", "2023-05-22", "day"),
    ("the Friday before last", "the Friday before last", "2023-05-12", "2023-05-13", "day"),
    ("the Friday after next", "the Friday after next", "2023-06-02", "2023-06-03", "day"),
    ("I fell on Saturday the sixth", "Saturday the sixth", "2023-05-06", "2023-05-07", "day"),
    ("See you on Saturday the twenty-seventh", "Saturday the twenty-seventh", "2023-05-27", "2023-05-28", "day"),
    ("On Saturday the first guest came", "Saturday", "2023-05-20", "2023-05-21", "day"),
    ("Friday the 13th was awful", "Friday the 13th", "2023-01-13", "2023-01-14", "day"),
    ("The wedding is cancelled on 11 April", "11 April", "2024-04-11", "2024-04-12", "day"),
    ("The wedding was cancelled on 11 April", "11 April", "2023-04-11", "2023-04-12", "day"),
    ("Monday of last week", "Monday of last week", "2023-05-15", "2023-05-16", "day"),
    # weeks, weekends, months, years
    ("last week", "last week", "2023-05-15", "2023-05-22", "week"),
    ("this week", "this week", "2023-05-22", "2023-05-29", "week"),
    ("next week", "next week", "2023-05-29", "2023-06-05", "week"),
    ("the week before last", "the week before last", "2023-05-08", "2023-05-15", "week"),
    ("last weekend", "last weekend", "2023-05-20", "2023-05-22", "weekend"),
    ("this weekend", "this weekend", "2023-05-27", "2023-05-29", "weekend"),
    ("next weekend", "next weekend", "2023-06-03", "2023-06-05", "weekend"),
    ("I hiked over the weekend", "the weekend", "2023-05-20", "2023-05-22", "weekend"),
    ("plans for the weekend", "the weekend", "2023-05-27", "2023-05-29", "weekend"),
    ("two weekends ago", "two weekends ago", "2023-05-13", "2023-05-15", "weekend"),
    ("last month", "last month", "2023-04-01", "2023-05-01", "month"),
    ("next month", "next month", "2023-06-01", "2023-07-01", "month"),
    ("last year", "last year", "2022-01-01", "2023-01-01", "year"),
    ("this year's trip", "this year", "2023-01-01", "2024-01-01", "year"),
    ("by the end of the month", "end of the month", "2023-05-21", "2023-06-01", "span"),
    ("at the end of last year", "end of last year", "2022-09-01", "2023-01-01", "span"),
    # counted
    ("two weeks ago", "two weeks ago", "2023-05-08", "2023-05-15", "week"),
    ("3 days ago", "3 days ago", "2023-05-22", "2023-05-23", "day"),
    ("a couple of months ago", "a couple of months ago", "2023-03-01", "2023-04-01", "month"),
    ("a few years ago", "a few years ago", "2018-01-01", "2022-01-01", "span"),
    ("2-3 weeks ago", "2-3 weeks ago", "2023-05-01", "2023-05-15", "span"),
    ("ten years back", "ten years back", "2013-01-01", "2014-01-01", "year"),
    ("a decade ago", "a decade ago", "2013-01-01", "2014-01-01", "year"),
    ("a fortnight ago", "a fortnight ago", "2023-05-08", "2023-05-15", "week"),
    ("a year and a half ago", "a year and a half ago", "2021-11-01", "2021-12-01", "month"),
    ("half an hour ago", "half an hour ago", "2023-05-25T12:44", "2023-05-25T12:45", "minute"),
    ("two hours ago", "two hours ago", "2023-05-25T10:44", "2023-05-25T11:44", "hour"),
    ("I leave in three days", "in three days", "2023-05-28", "2023-05-29", "day"),
    ("three weeks from now", "three weeks from now", "2023-06-12", "2023-06-19", "week"),
    ("I've known her for three years", "for three years", "2020-05-25", NOW, "span"),
    ("I've done it for about 6 months", "for about 6 months", "2022-11-25", NOW, "span"),
    ("seven years now", "seven years now", "2016-05-25", NOW, "span"),
    ("over the past few months", "past few months", "2022-12-25", NOW, "span"),
    ("over the last two weeks", "last two weeks", "2023-05-11", NOW, "span"),
    ("in the next 3 days", "next 3 days", NOW, "2023-05-29", "span"),
    ("the past year", "past year", "2022-05-25", NOW, "span"),
    # months and dates
    ("we met in May", "May", "2023-05-01", "2023-06-01", "month"),
    ("we met in June", "June", "2022-06-01", "2022-07-01", "month"),
    ("From June I work there", "June", "2023-06-01", "2023-07-01", "month"),
    ("Starting June we live there", "June", "2023-06-01", "2023-07-01", "month"),
    ("we meet in April", "April", "2024-04-01", "2024-05-01", "month"),
    ("January was hard", "January", "2023-01-01", "2023-02-01", "month"),
    ("last May", "last May", "2022-05-01", "2022-06-01", "month"),
    ("next March", "next March", "2024-03-01", "2024-04-01", "month"),
    ("May 2022", "May 2022", "2022-05-01", "2022-06-01", "month"),
    ("in march of 2021", "march of 2021", "2021-03-01", "2021-04-01", "month"),
    ("I left on May 7", "May 7", "2023-05-07", "2023-05-08", "day"),
    ("I leave on May 7", "May 7", "2024-05-07", "2024-05-08", "day"),
    ("7th of May, 2023", "7th of May, 2023", "2023-05-07", "2023-05-08", "day"),
    ("14 February 2020", "14 February 2020", "2020-02-14", "2020-02-15", "day"),
    ("Dec. 3, 1999", "Dec. 3, 1999", "1999-12-03", "1999-12-04", "day"),
    ("May 7-9, 2023", "May 7-9, 2023", "2023-05-07", "2023-05-10", "span"),
    ("March 11 - March 17, 2024", "March 11 - March 17, 2024", "2024-03-11", "2024-03-18", "span"),
    ("Friday, May 5", "Friday, May 5", "2023-05-05", "2023-05-06", "day"),
    ("early May 2022", "early May 2022", "2022-05-01", "2022-05-11", "span"),
    ("mid-June", "mid-June", "2023-06-11", "2023-06-21", "span"),
    ("2023-05-07", "2023-05-07", "2023-05-07", "2023-05-08", "day"),
    ("2023-05-07T10:30:00Z", "2023-05-07T10:30:00Z", "2023-05-07T10:30", "2023-05-07T10:31", "minute"),
    ("5/7/2023", "5/7/2023", "2023-05-07", "2023-05-08", "day"),
    ("25/12/2022", "25/12/2022", "2022-12-25", "2022-12-26", "day"),
    ("7.5.2023", "7.5.2023", "2023-05-07", "2023-05-08", "day"),
    ("1/2/99", "1/2/99", "1999-01-02", "1999-01-03", "day"),
    ("I left on 5/7", "5/7", "2023-05-07", "2023-05-08", "day"),
    ("due the 14th", "the 14th", "2023-06-14", "2023-06-15", "day"),
    ("on the 14th I left", "the 14th", "2023-05-14", "2023-05-15", "day"),
    ("the 3rd of next month", "the 3rd of next month", "2023-06-03", "2023-06-04", "day"),
    ("on February 29 we met", "February 29", "2020-02-29", "2020-03-01", "day"),
    # years, seasons, feasts
    ("in 2019", "2019", "2019-01-01", "2020-01-01", "year"),
    ("released (2018) here", "2018", "2018-01-01", "2019-01-01", "year"),
    ("in the 90s", "90s", "1990-01-01", "2000-01-01", "span"),
    ("in the 1800s", "1800s", "1800-01-01", "1900-01-01", "span"),
    ("2019-2021", "2019-2021", "2019-01-01", "2022-01-01", "span"),
    ("the summer of 2021", "the summer of 2021", "2021-06-01", "2021-09-01", "season"),
    ("in winter 2021", "winter 2021", "2021-12-01", "2022-03-01", "season"),
    ("last summer", "last summer", "2022-06-01", "2022-09-01", "season"),
    ("this summer", "this summer", "2023-06-01", "2023-09-01", "season"),
    ("last winter", "last winter", "2022-12-01", "2023-03-01", "season"),
    ("we met in the fall", "fall", "2022-09-01", "2022-12-01", "season"),
    ("Christmas was nice", "Christmas", "2022-12-25", "2022-12-26", "day"),
    ("last Christmas", "last Christmas", "2022-12-25", "2022-12-26", "day"),
    ("Christmas Eve 2021", "Christmas Eve 2021", "2021-12-24", "2021-12-25", "day"),
    ("a party on New Year's Eve", "New Year's Eve", "2023-12-31", "2024-01-01", "day"),
    ("Halloween 2021", "Halloween 2021", "2021-10-31", "2021-11-01", "day"),
    ("on Valentine's Day we ate", "Valentine's Day", "2023-02-14", "2023-02-15", "day"),
    ("for Mother's Day", "Mother's Day", "2024-05-12", "2024-05-13", "day"),
    ("at Thanksgiving", "Thanksgiving", "2023-11-23", "2023-11-24", "day"),
    ("Easter 2024", "Easter 2024", "2024-03-31", "2024-04-01", "day"),
    # ahead of a day
    ("See you Friday week", "Friday week", "2023-06-02", "2023-06-03", "day"),
    ("I'm off on Friday week at noon", "Friday week at noon", "2023-06-02T12:00", "2023-06-02T13:00", "hour"),
    ("on Friday week 3 begins", "Friday", "2023-05-26", "2023-05-27", "day"),
    ("the party is a week from Saturday", "a week from Saturday", "2023-06-03", "2023-06-04", "day"),
    ("two weeks from next Friday", "two weeks from next Friday", "2023-06-16", "2023-06-17", "day"),
    ("three days from tomorrow morning", "three days from tomorrow morning", "2023-05-29T05:00", "2023-05-29T12:00", "part"),
    ("we spent two days from Monday in Rome", "Monday", "2023-05-22", "2023-05-23", "day"),
    ("dinner is tmr at 5pm", "tmr at 5pm", "2023-05-26T17:00", "2023-05-26T18:00", "hour"),
    ("See you Tmrw!", "Tmrw", "2023-05-26", "2023-05-27", "day"),
    ("lunch tomo at 1pm", "tomo at 1pm", "2023-05-26T13:00", "2023-05-26T14:00", "hour"),
    # times of day
    ("tomorrow at 3 pm", "tomorrow at 3 pm", "2023-05-26T15:00", "2023-05-26T16:00", "hour"),
    ("at 3 pm on Friday", "3 pm on Friday", "2023-05-26T15:00", "2023-05-26T16:00", "hour"),
    ("Friday 7:30pm", "Friday 7:30pm", "2023-05-26T19:30", "2023-05-26T19:31", "minute"),
    ("on May 7, 2023 around 9 a.m.", "May 7, 2023 around 9 a.m.", "2023-05-07T09:00", "2023-05-07T10:00", "hour"),
    ("we meet at 15:30", "15:30", "2023-05-25T15:30", "2023-05-25T15:31", "minute"),
    ("at 12 am", "12 am", "2023-05-25", "2023-05-25T01:00", "hour"),
    ("noon tomorrow", "noon tomorrow", "2023-05-26T12:00", "2023-05-26T13:00", "hour"),
    ("tonight at 1 am", "tonight at 1 am", "2023-05-26T01:00", "2023-05-26T02:00", "hour"),
    # since
    ("since June", "since June", "2022-06-01", NOW, "span"),
    ("since 2019", "since 2019", "2019-01-01", NOW, "span"),
    ("since last summer", "since last summer", "2022-06-01", NOW, "span"),
    ("since early May", "since early May", "2023-05-01", NOW, "span"),
]


@pytest.mark.parametrize(("text", "words", "earliest", "latest", "grain"), CASES, ids=[case[0] for case in CASES])
def test_mentions(text: str, words: str, earliest: str, latest: str, grain: str) -> None:
    (mention,) = mentions(text, ANCHOR)
    assert (mention.words, mention.earliest, mention.latest, mention.grain) == (words, at(earliest), at(latest), grain)
    assert text[mention.start : mention.end] == words


@pytest.mark.parametrize(
    "text",
    [
        "I may go", "You may not", "May I come in?", "this may be", "it may take two of us", "they march on", "a long march",
        "march to the beat", "wait a second", "the second one", "give me a minute", "in a minute", "the Sun is a star", "sun and sea",
        "she sat down", "they wed in white", "the mon amour", "June said hi", "April is my friend", "I met May", "Jan left us",
        "a letter from June about it",
        "we love to fall in love", "spring to mind", "a hot spring", "every Friday", "on Fridays", "Black Friday deals", "day by day",
        "have a great day", "all the time", "good morning", "years old", "I am 3 years old", "twice a week", "8 hours a day",
        "I put in around 8 hours a day", "the last two weeks of school",
        "I lost 5 pounds in two weeks", "I'll stay for three days", "we were there for four years", "the last week of school",
        "the 14th floor", "my 30th birthday", "in her 20s", "I have 2000 books", "in 1500 meters", "room 2019", "$2020",
        "the score was 2:10",         "version 3.7.9", "10.0.0.1", "Christmas tree", "my Halloween costume", "Merry Christmas!",
        "Happy New Year!", "a white Christmas",
        "24/7 support", "1/2 cup", "call 555-1234", "now and then", "e/2023/today", "#friday", "friday@mail.org", "May 32",
        "2023-13-45", "30/30/2020", "at 25:61", "15 pm", "monday_task", "holidays", "next time", "last one", "this thing", "Tomo and I", "yo tomo agua", "the TMR", "", " ", "\x00",
    ],
)  # fmt: skip
def test_no_mention(text: str) -> None:
    assert mentions(text, ANCHOR) == []
    assert not has_time(text)


WEDNESDAY = datetime(2026, 10, 28, 18)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("I'm in Rome from October 26 to November 2", "2026-10-26", "2026-11-02"),
        ("I'm in Rome October 26 through November 2", "2026-10-26", "2026-11-02"),
        ("between October 20 and November 3 I am away", "2026-10-20", "2026-11-03"),
        ("I'm in Rome from the 26th to the 3rd", "2026-10-26", "2026-11-03"),
        ("I live there from September to November", "2026-09-01", "2026-11-01"),
        ("I'm away from December 20 to January 3", "2026-12-20", "2027-01-03"),
        ("I was away from December 20 to January 3", "2025-12-20", "2026-01-03"),
        ("I was away from October 20 to November 2", "2025-10-20", "2025-11-02"),
        ("I'm off from Monday to Friday", "2026-11-02", "2026-11-06"),
        ("I'll be off Monday-Friday", "2026-11-02", "2026-11-06"),
        ("I was off from Monday to Friday", "2026-10-19", "2026-10-23"),
        ("I was off from Thursday to Monday", "2026-10-22", "2026-10-26"),
        ("I'm away from Monday at 9am to Friday at 5pm", "2026-11-02T09:00", "2026-11-06T17:00"),
        ("I'm away from October 26 to Friday", "2026-10-26", "2026-10-30"),
        ("I'm away from November 5 to Monday", "2026-11-05", "2026-11-09"),
        ("I'm away from Monday to October 30", "2026-10-26", "2026-10-30"),
        ("I'm away from tomorrow to Monday", "2026-10-29", "2026-11-02"),
        ("I'm on call from 10 pm to 6 am", "2026-10-28T22:00", "2026-10-29T06:00"),
        ("My shift runs from Friday 10pm to 2am", "2026-10-30T22:00", "2026-10-31T02:00"),
        ("I was on call from Monday 10am to 2pm", "2026-10-26T10:00", "2026-10-26T14:00"),
        ("I'm away from December 20 to January 3, 2029", "2028-12-20", "2029-01-03"),
        ("I was away from December 20, 2020 to January 3", "2020-12-20", "2021-01-03"),
        ("I lived there from June to May 2021", "2020-06-01", "2021-05-01"),
        ("I'm in Rome from 10/26 to 11/2", "2026-10-26", "2026-11-02"),
        ("I'm in Rome between 10/26 and 11/2.", "2026-10-26", "2026-11-02"),
        ("I was in Rome from 10/26 to 11/2", "2025-10-26", "2025-11-02"),
        ("I'm in Rome from 26/10 to 2/11", "2026-10-26", "2026-11-02"),
        ("I'm away from 12/20 through 1/3 and then back", "2026-12-20", "2027-01-03"),
    ],
)
def test_the_ends_of_a_range_belong_together(text: str, first: str, last: str) -> None:
    assert [mention.earliest for mention in mentions(text, WEDNESDAY)] == [at(first), at(last)]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("My mood went from 3/10 to 7/10.", 1),
        ("Use from 3/4 to 1/2 cup.", 1),
        ("between 1/2 and 3/4 of them", 0),
        ("a ratio of 10/26 to 11/2", 0),
        ("from 10/26 to 13/32", 0),
    ],
)
def test_scores_and_measures_are_no_range_of_days(text: str, count: int) -> None:
    assert len(mentions(text, WEDNESDAY)) == count


def test_what_is_moved_to_an_earlier_day_is_no_range() -> None:
    found = mentions("They want to move the meeting from Friday to Thursday.", WEDNESDAY)
    assert [mention.earliest for mention in found] == [at("2026-10-30"), at("2026-10-29")]
    found = mentions("I'm free on Monday and Friday.", WEDNESDAY)
    assert [mention.earliest for mention in found] == [at("2026-11-02"), at("2026-10-30")]


@pytest.mark.parametrize("edge", [datetime.min, datetime.max])
def test_ranges_at_the_edges_of_time_do_not_raise(edge: datetime) -> None:
    for text in ("from Monday to Friday", "from June 3 to May 2", "from 10 pm to 6 am", "a week from Saturday", "Friday week"):
        assert all(mention.earliest < mention.latest for mention in mentions(text, edge))


def test_several_mentions_in_order() -> None:
    found = mentions("I was in Rome last week and yesterday I flew home; on June 3 I go back.", ANCHOR)
    assert [mention.words for mention in found] == ["last week", "yesterday", "June 3"]


def test_without_an_anchor_only_dates_with_a_year_resolve() -> None:
    text = "Yesterday, last week, on Friday, in May, two days ago; on May 7, 2023 at 3 pm, in 2019 and since 2020-01-02"
    assert [mention.words for mention in mentions(text, None)] == ["May 7, 2023 at 3 pm", "2019", "2020-01-02"]
    assert mentions("May 7, 2023", None)[0].earliest == datetime(2023, 5, 7)


def test_intervals_are_in_the_zone_of_the_anchor() -> None:
    zone = timezone(timedelta(hours=9))
    (mention,) = mentions("yesterday", ANCHOR.replace(tzinfo=zone))
    assert mention.earliest == datetime(2023, 5, 24, tzinfo=zone)
    assert mention.latest.tzinfo is zone
    (mention,) = mentions("since 2020", ANCHOR.replace(tzinfo=UTC))
    assert mention.latest == ANCHOR.replace(tzinfo=UTC)


@pytest.mark.parametrize("edge", [datetime.min, datetime.max, datetime(9999, 12, 31, 23, 59), datetime(1, 1, 1, 0, 1)])
def test_the_edges_of_time_do_not_raise(edge: datetime) -> None:
    for text, *_ in CASES:
        for mention in mentions(text, edge):
            assert datetime.min <= mention.earliest < mention.latest <= datetime.max
        window(text, edge)


@pytest.mark.parametrize("text", ["May 2023 İ yesterday", "İİİ yesterday", "ﬁ ﬁ\u0130 today 😀 yesterday"])
def test_offsets_hold_where_lower_case_is_longer(text: str) -> None:
    found = mentions(text, ANCHOR)
    assert found[-1].words == "yesterday"
    assert all(text[mention.start : mention.end] == mention.words for mention in found)


FAR = datetime.max
BEGINNING = datetime.min


@pytest.mark.parametrize(
    ("question", "earliest", "latest"),
    [
        ("What did he do in May 2023?", at("2023-05-01"), at("2023-06-01")),
        ("What happened last summer?", at("2022-06-01"), at("2022-09-01")),
        ("What did she read before June 2022?", BEGINNING, at("2022-06-01")),
        ("What was finished by Friday?", BEGINNING, at("2023-05-27")),
        ("What did she do after 2022?", at("2023-01-01"), FAR),
        ("What has he done since 2021?", at("2021-01-01"), at(NOW)),
        ("What did they do between March and May 2022?", at("2022-03-01"), at("2022-06-01")),
        ("between March and May", at("2023-03-01"), at("2023-06-01")),
        ("What did I do from Monday to Wednesday?", at("2023-05-22"), at("2023-05-25")),
        ("What did he eat on 7 May 2023?", at("2023-05-07"), at("2023-05-08")),
        ("Who did she meet in 2021, in the summer of 2021?", at("2021-06-01"), at("2021-09-01")),
        ("What happened when I was in Rome in 2010?", at("2010-01-01"), at("2011-01-01")),
    ],
)
def test_window(question: str, earliest: datetime, latest: datetime) -> None:
    assert window(question, ANCHOR) == (earliest, latest)


@pytest.mark.parametrize("question", ["When did Bob go in May?", "What is her name?", "Which year did she finish, 2019?", "", "may I?"])
def test_no_window(question: str) -> None:
    assert window(question, ANCHOR) is None


def test_an_open_window_keeps_the_zone() -> None:
    found = window("What happened before 2020?", ANCHOR.replace(tzinfo=UTC))
    assert found is not None
    assert found[0].tzinfo is UTC


@pytest.mark.parametrize(
    "question",
    [
        "When did Caroline go?", "when is it", "When's the party?", "Hey, when are you free?", "What day did we meet?",
        "which year was it?", "How long ago did he move?", "Do you know when she left?", "Tell me when it starts",
        "What was the date of the trip?", "Since when do you run?",
        "what time is it", "In what year did she move?", "When?",
    ],
)  # fmt: skip
def test_asks_when(question: str) -> None:
    assert asks_when(question)


@pytest.mark.parametrize(
    "question",
    ["What did I eat when I was in Rome?", "Whenever it rains", "What happened in May?", "How long is it?", "What a day!", "whence", ""],
)
def test_does_not_ask_when(question: str) -> None:
    assert not asks_when(question)


@pytest.mark.parametrize(
    ("text", "earliest"),
    [
        ("I bought tickets for the opera on June 12.", "2023-06-12"),
        ("She got us seats for the game on Saturday.", "2023-05-27"),
        ("I signed up for a swim in September.", "2023-09-01"),
        ("I enrolled in a class starting March 4.", "2024-03-04"),
        ("My exam was moved to 3 May.", "2024-05-03"),
        ("The launch got pushed back to April 3.", "2024-04-03"),
        ("They postponed the hearing until Monday.", "2023-05-29"),
        ("The deadline has been extended to Wednesday.", "2023-05-31"),
        ("We made a reservation for Tuesday.", "2023-05-30"),
        ("I was promoted, effective on June 1.", "2023-06-01"),
    ],
)
def test_what_was_arranged_for_lies_ahead(text: str, earliest: str) -> None:
    assert [mention.earliest for mention in mentions(text, ANCHOR)] == [at(earliest)]


@pytest.mark.parametrize(
    ("text", "earliest"),
    [
        ("I bought the tickets on Monday.", "2023-05-22"),
        ("I moved to Porto in July.", "2022-07-01"),
        ("We moved the desk to the attic on Monday.", "2023-05-22"),
        ("We had tickets for the opera on Monday.", "2023-05-22"),
        ("I felt ill starting on Monday.", "2023-05-22"),
        ("I registered on Monday.", "2023-05-22"),
        ("She sold her tickets for the game on Monday.", "2023-05-22"),
        ("The meeting moved on Monday.", "2023-05-22"),
    ],
)
def test_what_was_done_lies_behind(text: str, earliest: str) -> None:
    assert [mention.earliest for mention in mentions(text, ANCHOR)] == [at(earliest)]
