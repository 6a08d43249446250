"""What people tell of themselves in ordinary words, and change, correct or end later: what no longer holds is superseded, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from loci.system import Cube
from loci.testing import ManualClock

OVER = """
I'm doing keto.|I've switched from keto to a Mediterranean diet.
I'm on a gluten-free diet.|I'm not gluten-free any more.
I take 5 mg of ramipril every day.|My doctor put my ramipril up to 10 mg.
I take sertraline every day.|I've stopped taking sertraline.
I take metformin every morning.|They have taken me off metformin.
I take cetirizine for my hay fever.|The pharmacist put me on loratadine for my hay fever instead.
I sing in the Riverside Choir.|I've left the choir.
I'm a member of a rowing club.|I left the rowing club last month.
I have a Netflix subscription.|I cancelled Netflix last night.
I pay for Spotify.|My Spotify was cancelled.
I'm taking an evening class in bookkeeping.|I dropped out of the bookkeeping class.
I'm learning Spanish.|I've swapped to learning Italian instead.
I'm learning Korean.|I dropped Korean and I'm learning Japanese instead.
I study biology.|I've switched from biology to pharmacy.
I bank with Barclays.|I've closed the Barclays account and moved to Starling.
I keep my notes in Evernote.|I've moved all my notes to Notion.
My phone is an iPhone 12.|I got rid of my old phone and bought a Pixel 8.
I have a ThinkPad.|I bought a MacBook.
My doctor is Dr. Haddad.|Dr. Vermeer is my doctor now.
My boss is called Linda.|I have a new boss, his name is Greg.
My boyfriend's name is Callum.|I've got a new boyfriend, his name is Adeel.
We have a cat called Smudge.|Smudge died on Sunday.
We have two kids.|We have three kids now.
I drive a Renault Clio.|I sold the Clio.
I work for a law firm called Barton.|I started at Whitfield last week.
I work as a cashier.|They made me shift manager.
I live at 8 Station Road.|Can you please update my address to 61 Hawthorn Avenue?
My email is a@b.example.|Please use c@d.example as my email from now on.
My work phone is 555-0142.|The work number I gave you was wrong, it should be 555-0124.
My address is 27 Elm Street.|Sorry, I gave you the wrong house number. It is 72 Elm Street.
I'm allergic to cashews.|I got that wrong, I'm allergic to pistachios, not cashews.
My job interview is at 10:30 on Thursday.|I misread the email, my interview is at 11:30 on Thursday.
I have a physio appointment on 21 May.|I cancelled my physio appointment, my knee is fine now.
I fly to Doha on Friday.|The airline moved my flight to Doha to Saturday.
The budget report is due on 8 November.|The deadline for the budget report has been pushed back to 15 November.
I have to finish the Henderson brochure by Friday.|The Henderson brochure has been scrapped.
Badminton is on Tuesday evenings.|Badminton has moved to Thursday evenings.
The alarm code at home is 4471.|I changed the house alarm code to 8203.
Please call me Elizabeth.|Could you call me Beth from now on?
My nephew's name is Callum.|Oops, I got my nephew's name wrong, he's called Calvin.
My hometown is Cluj.|I have to correct my hometown, it is Turda.
I take my coffee with milk.|I drink my coffee black now.
I prefer a window seat.|I prefer an aisle seat now.
My car is a blue Volvo.|I drive a Mazda now.
My license plate is KLT 482.|I got new plates, the number is RVB 917.
My daughter is allergic to eggs.|My daughter has outgrown her egg allergy.
I'm in 10th grade.|I'm in 11th grade now.
Our cat eats Whiskas.|We've switched the cat to Felix.
I have French lessons on Wednesdays.|I stopped taking French lessons.
I'm on Instagram.|I deleted my Instagram account.
I live at 8 Station Road.|We moved on Friday. The address is 61 Hawthorn Avenue.
I work as a team lead.|I stepped down as team lead.
I live in Porto.|I live in Leeds, not London.
"""
STANDS = """
I take sertraline every day.|My sister takes fluoxetine.
I sing in the Riverside Choir.|I joined a chess club.
I have a Netflix subscription.|I cancelled my flight to Rome.
I'm learning Spanish.|I'm learning Italian.
I study biology.|I studied at Delft.
I bank with Barclays.|My brother banks with Starling.
I keep my notes in Evernote.|I keep my photos in Dropbox.
My phone is an iPhone 12.|I bought a Galaxy tablet.
We have a cat called Smudge.|The Queen died on Thursday.
We have two kids.|My sister has three kids.
I'm allergic to cashews.|I like almonds, not hazelnuts.
The budget report is due on 8 November.|The tax filing is due on 15 November.
Badminton is on Tuesday evenings.|Choir is on Thursday evenings.
My job interview is at 10:30 on Thursday.|My dentist appointment is at 11:30 on Thursday.
I'm vegan.|I don't eat meat, eggs or dairy because I'm vegan.
I work for Acme.|I joined the Millpond Rowing Club.
I live in Porto.|Can you note that my sister moved to Rome?
I take cetirizine for my hay fever.|I take ibuprofen for my headaches.
I take my coffee with milk.|I take my tea black.
I live at 8 Station Road.|The address is 61 Hawthorn Avenue.
Our cat eats Whiskas.|Our dog eats Pedigree.
I have French lessons on Wednesdays.|I stopped my German lessons.
We have a cat called Max.|I dropped Max off at school.
My girlfriend is Anna.|I dropped Anna at the station.
I use a Canon.|I sold my Canon shares.
I bank with Barclays.|We moved to Berlin and opened a bank account.
I take cetirizine for my hay fever.|The doctor put me on hold for the afternoon.
I take my coffee with milk.|I take my coffee with Tom at nine.
I live at 8 Station Road.|I live at 12 Elm Street for the summer.
"""


def closed(cube: Cube, clock: ManualClock, pair: str) -> bool:
    """Whether the second message of a pair superseded what the first says."""
    first, second = pair.split("|")
    ids = cube.add(first, user="ana", session="then").ids
    clock.advance(days=9)
    by = cube.add(second, user="ana", session="now").ids
    clock.advance(hours=1)
    return any(claim.closed_by in by for id in ids for claim in cube.get(id).claims)


@pytest.mark.parametrize("pair", OVER.strip().splitlines())
def test_what_no_longer_holds_is_superseded(cube: Cube, clock: ManualClock, pair: str) -> None:
    assert closed(cube, clock, pair)


@pytest.mark.parametrize("pair", STANDS.strip().splitlines())
def test_what_still_holds_is_not(cube: Cube, clock: ManualClock, pair: str) -> None:
    assert not closed(cube, clock, pair)


def test_what_follows_on_a_request_is_told_and_the_question_is_none(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("Hi, can you remember that my sister lives in Oslo?", user="ana").ids[0]
    assert [(claim.subject, claim.attribute, claim.value) for claim in cube.get(id).claims] == [("ana/sister", "residence", "oslo")]
    asked = cube.add("Can you remember where my sister lives?", user="ana").ids[0]
    assert cube.get(asked).claims == ()


def test_the_day_and_the_time_of_an_appointment_change_apart(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("My dentist appointment is on Thursday at 3pm.", user="ana").ids[0]
    clock.advance(hours=timedelta(days=1).total_seconds() / 3600)
    cube.add("My dentist appointment is at 4pm now.", user="ana")
    assert {claim.attribute: claim.closed_by is not None for claim in cube.get(id).claims} == {
        "plan/appointment/dentist": False, "time/appointment/dentist": True,
    }  # fmt: skip
