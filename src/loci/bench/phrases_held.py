"""HELD: the phrase bank that nothing is tuned on. It was written before the first rule; only its final figure is read.

One block an attribute. `kind: text`, or `kind=value: text` where a wording belongs to one value. {v} is the value that is
told, {o} the one before it, {who} / {Who} a third person. The kinds are explained in `streams.py`.
"""

HELD = """
# residence
values: Leipzig | Bristol | Oaxaca | Tampere | Nagoya | Winnipeg | Valparaíso | Ghent | Durban | Perth
state: I live in {v}, about ten minutes from the river.
state: Home is {v} for me, has been for a while.
state: I'm based in {v} these days.
state: We've been living in {v} since the kids were small.
state: I've got a small flat in {v}, nothing fancy.
state: Born and raised elsewhere, but I call {v} home.
state: Well, I'm in {v}, so winters are a thing here.
change: So, big news: we finally moved to {v}!
change: I've just relocated to {v} for good.
change: Goodbye {o}! Unpacked the last box in {v} yesterday and this is home now.
change: I live in {v} now, it was time for something new.
change: After all those years in {o} I packed up and settled in {v}.
change: We left {o} last month and are living in {v} now.
change: I don't live in {o} any more, I'm in {v} now.
change: Guess what, I'm a {v} resident as of this week.
correct: Sorry, I meant {v}, not {o}.
correct: No wait, I live in {v}. Don't know why I said {o}.
restate: It's lovely living in {v}, honestly.
restate: As I said, I live in {v}.
restate: Living here in {v} has its perks.
past: I used to live in {v} when I was at university.
past: Back when I lived in {v} the rent was a joke.
past: I lived in {v} until 2011.
past: I spent three years in {v} as a student.
future: We're thinking about moving to {v} next year.
future: I might move to {v} at some point.
future: If all goes well I'll be moving to {v} in the spring.
joke: If I lived in {v} I'd never be home for dinner.
joke: I wish I lived in {v}, the food there!
joke: Haha, I basically live in {v} airport these days, kidding.
joke: My favourite novelist wrote "I live in {v} and nowhere else".
joke: Do you think I should move to {v}?
joke: I just got back from a long weekend in {v}.
joke: Someone at the bar asked me if I live in {v}.
third: {Who} lives in {v}.
third: {Who} has been living in {v} for ages.
third: {Who} is based in {v}.
third_change: {Who} moved to {v} last week.
third_change: {Who} just relocated to {v}.
ask: Where does {name} live?
ask: What city is {name} in these days?
ask_third: Where does {whose} live now?

# employer
values: Northwind | Bluefin Logistics | Castor & Pine | Helvetia Labs | Tidewater Bank | Orbis Media | Quillon | the city library
state: I work at {v}.
state: I'm with {v}, have been for a few years.
state: My employer is {v}, you may have heard of them.
state: I've been working for {v} since 2019.
state: I earn my living at {v}.
change: I started a new job at {v} on Monday!
change: I've joined {v}, first week done.
change: Left {o} for {v}, best decision in years.
change: I now work for {v}.
change: I got the offer and signed with {v}, so I'm there now.
change: I've switched from {o} to {v}.
change: They hired me at {v}! Started this week.
correct: Actually it's {v}, I mixed up the names.
correct: Correction: I work at {v}, not {o}.
restate: Work at {v} has been busy lately.
restate: Yes, still working for {v}.
restate: I'm still at {v}.
past: I worked at {v} right after school.
past: Years ago I had a job at {v}.
past: I used to work for {v}, worst coffee ever.
future: I have an interview at {v} next week.
future: I'd love to work at {v} one day.
future: I may start at {v} in autumn, nothing signed yet.
joke: Imagine I worked at {v}, I'd be asleep by noon.
joke: Tom told me "I work at {v}" and I didn't believe him.
joke: Have you ever thought about working at {v}?
joke: I ordered something from {v} and it never came.
end: I quit my job last Friday.
end: They let me go at {o}, I'm between jobs.
end: I no longer work at {o}.
end: I handed in my notice and walked out of {o} for the last time today.
third: {Who} works at {v}.
third: {Who} works for {v}.
third_change: {Who} got a new job at {v}.
third_change: {Who} started working at {v} this month.
ask: Who does {name} work for?
ask: Where is {name} employed?
ask_third: Where does {whose} work?

# job_title
values: paramedic | tax adviser | sound engineer | pastry chef | data analyst | midwife | tram driver | translator
state: I work as a {v}.
state: I'm a {v} by trade.
state: I'm a {v}.
state: My job? {v}, for about six years.
state: I earn a living as a {v}.
change: I got promoted, I'm a {v} now!
change: I've retrained and now work as a {v}.
change: I switched careers and became a {v}.
change: As of this month I'm a {v}.
change: I'm no longer a {o}, I work as a {v} now.
correct: I said {o}, but what I meant is {v}.
correct: Actually I'm a {v}, not a {o}.
restate: Being a {v} is tiring sometimes.
restate: As a {v} I see a lot of strange things.
restate: I still work as a {v}.
past: I used to be a {v}.
past: In my twenties I worked as a {v}.
past: I was a {v} before all that.
future: I want to become a {v} one day.
future: I'm training to be a {v}.
joke: If I were a {v} I'd have quit by now.
joke: As a kid I wanted to be a {v}.
joke: I'm not a {v}, but even I can see that's wrong.
joke: I met a {v} on the train.
third: {Who} is a {v}.
third: {Who} works as a {v}.
third_change: {Who} is a {v} now.
third_change: {Who} became a {v}.
ask: What does {name} do for a living?
ask: What is {name}'s job?
ask_third: What does {whose} do for work?

# age
values: 27 | 28 | 29 | 30
ordered: yes
state: I'm {v} years old.
state: I'm {v}, if you must know.
state: I'm a {v}-year-old with the knees of a pensioner.
change: I turned {v} yesterday, where did the time go.
change: It was my birthday, I'm {v} now!
change: Just turned {v}!
restate: I'm only {v}, give me a break.
restate: At {v} I should know better.
past: I was 19 when I learned to drive.
past: When I was 12 I broke my arm.
future: I'll be 40 before this project is done.
joke: I feel like I'm 90 today.
joke: I waited 45 minutes for the bus.
joke: Wish I were 18 again.
third: {Who} is {v} years old.
third: {Who} turned {v} in May.
ask: How old is {name}?
ask: What age is {name} now?
ask_third: How old is {whose}?

# marital_status
values: single | married | divorced | engaged
state=single: I'm single, and mostly fine with it.
state=married: I'm married.
state=married: My husband and I have been married for years.
state=engaged: I'm engaged!
state=divorced: I'm divorced.
change=married: We got married on Saturday!!
change=married: We tied the knot at the town hall last week.
change=married: I'm a married woman now.
change=engaged: I said yes! We're engaged!
change=engaged: She proposed and I said yes, so we're engaged now.
change=divorced: The divorce went through this week.
change=divorced: I got divorced last month.
change=single: We broke up, so I'm single again.
change=single: I'm single again.
restate=married: Being married suits me.
restate=single: Yep, still single.
restate=engaged: Still engaged, still no date.
past: I was engaged once, a lifetime ago.
past: I was married to a sailor in my twenties, different life.
future: We're planning to get married next summer.
future: I want to get married some day.
joke: I'm practically married to my laptop.
joke: If I were married I'd need a bigger flat.
joke: My neighbours got divorced, very loudly.
third=married: {Who} is married.
third=engaged: {Who} got engaged.
third=divorced: {Who} is divorced.
third=single: {Who} is single.
third_change=married: {Who} got married last month.
third_change=divorced: {Who} got divorced.
ask: Is {name} married?
ask: What is {name}'s relationship status?
ask_third: Is {whose} married?

# pet_name/dog
values: Biscuit | Mango | Odin | Pepper | Waffles | Juno
state: My dog's name is {v}.
state: We have a dog called {v}.
state: Our beagle {v} is asleep on my feet.
state: I've got a spaniel named {v}.
state: This is {v}, my dog.
change: We renamed the dog, he's called {v} now.
change: We changed our dog's name to {v}, he never listened to {o}.
correct: Sorry, the dog's name is {v}, not {o}.
correct: I meant {v}, autocorrect strikes again.
restate: {v}, our dog, dug up the garden again.
restate: Walked my dog {v} in the rain.
past: As a child I had a dog called {v}.
past: Our old dog {v} died when I was ten.
future: If we get a dog I'd call him {v}.
joke: I wish my dog were called {v}, so dignified.
joke: The neighbour's cat is called {v}.
joke: I saw a dog called {v} in the park.
third: {Who} has a dog called {v}.
third: {Whose} dog is called {v}.
ask: What is {name}'s dog called?
ask: What is the name of {name}'s dog?
ask_third: What is the name of {whose2} dog?

# favourite/colour
values: teal | mustard yellow | burgundy | sage green | cobalt | lilac
state: My favourite colour is {v}.
state: {v} is my favorite color, always has been.
state: I'd say {v} is my favourite colour.
change: My new favourite colour is {v}.
change: I've gone off {o}; my favourite colour is {v} now.
change: These days my favourite colour is {v}.
correct: Actually, my favourite colour is {v}. I said {o} out of habit.
correct: Changed my mind, it's {v}.
restate: You know {v} is my favourite colour.
past: {v} used to be my favourite colour.
past: My favourite colour used to be {v}.
joke: What's your favourite colour, {v}?
joke: We painted the shed {v}.
third: {Whose} favourite colour is {v}.
ask: What is {name}'s favourite colour?
ask: Which colour does {name} like best?
ask_third: What is {whose2} favourite colour?

# favourite/band
values: Khruangbin | Big Thief | Mogwai | Sigur Rós | The National | Massive Attack
state: My favourite band is {v}.
state: My all-time favourite band is {v}.
change: My favourite band is now {v}.
change: Forget {o}, {v} is my favourite band now.
correct: Actually my favourite band is {v}, not {o}.
restate: {v} is my favourite band, as you know.
past: {v} was my favourite band in school.
past: My favourite band used to be {v}.
joke: I went to see {v} live once.
third: {Whose} favourite band is {v}.
ask: What is {name}'s favourite band?
ask_third: What is {whose2} favourite band?

# likes/mushrooms
values: yes | no
state=yes: I love mushrooms.
state=yes: I really like mushrooms.
state=no: I can't stand mushrooms.
state=no: I hate mushrooms.
state=no: I don't like mushrooms.
state=yes: I'm a big fan of mushrooms.
change=no: I no longer like mushrooms.
change=no: I don't like mushrooms any more.
change=no: I've gone off mushrooms completely.
change=yes: I've come round to mushrooms, I actually like mushrooms now.
change=yes: I like mushrooms now, who would have thought.
restate=yes: I do love mushrooms.
restate=no: Still don't like mushrooms.
past: I once ate mushrooms for a week.
joke: Do you like mushrooms?
joke: There were mushrooms all over the lawn.
third=yes: {Who} loves mushrooms.
third=no: {Who} hates mushrooms.
third=no: {Who} doesn't like mushrooms.
ask: Does {name} like mushrooms?
ask_third: Does {whose} like mushrooms?

# diet
values: vegetarian | vegan | pescatarian | meat eater
state=vegetarian: I'm a vegetarian.
state=vegetarian: I've been vegetarian since school.
state=vegan: I'm vegan, so no cheese for me.
state=vegan: I eat a vegan diet.
state=pescatarian: I'm pescatarian.
change=vegan: I've gone vegan!
change=vegan: I switched to a vegan diet.
change=vegetarian: I became a vegetarian in January.
change=pescatarian: I'm pescatarian now.
change=meat eater: I eat meat again.
change=meat eater: I'm not vegetarian anymore, I started eating meat again.
restate=vegetarian: As a vegetarian I brought my own burger.
restate=vegan: Still vegan, yes.
past: I was vegan for a month once.
future: I'm thinking of going vegan.
joke: If I were vegan I'd starve in this town.
joke: They opened a vegan place on the corner.
third=vegan: {Who} is vegan.
third=vegetarian: {Who} is a vegetarian.
third_change=vegan: {Who} went vegan.
ask: What kind of diet does {name} follow?
ask: Does {name} eat meat?
ask_third: What diet does {whose} follow?

# plan/wedding
values: June 3 | the 14th of July | September 9 | 21 August | October 12 | May 30
state: The wedding is on {v}.
state: Our wedding will be on {v}.
state: We set a date for the wedding: {v}.
state: We're having the wedding on {v}.
change: We moved the wedding to {v}.
change: The wedding got pushed back to {v}.
change: The wedding has been rescheduled, it's on {v} now.
change: We had to postpone the wedding to {v}.
correct: Sorry, I meant {v}.
correct: Wait, not {o} but {v}.
correct: Actually it's {v}.
restate: So, {v} is the wedding, don't forget.
restate: The wedding is still on {v}.
joke: If the wedding were on {v}, nobody could come.
joke: Is the wedding on {v}?
end: The wedding is off.
end: We called off the wedding.
ask: When is {name}'s wedding?
ask: What date is {name}'s wedding?

# plan/appointment
values: Monday | Tuesday | Wednesday | Thursday | Friday
state: My dentist appointment is on {v}.
state: I have a dentist appointment on {v}.
state: I've got a doctor's appointment {v}.
change: My appointment got moved to {v}.
change: They rescheduled my appointment for {v}.
change: The appointment is on {v} now.
correct: Actually it's on {v}.
correct: Scratch that, {v}.
correct: I was wrong, it's {v}.
restate: Remember, my appointment is on {v}.
joke: What if the appointment were on {v}?
joke: Is your appointment on {v}?
end: My appointment got cancelled.
ask: When is {name}'s appointment?

# plan/trip
values: August | September | October | November | March
state: Our trip to Iceland is in {v}.
state: The trip is planned for {v}.
state: We're taking the trip in {v}.
change: We moved the trip to {v}.
change: The trip has been postponed until {v}.
change: Change of plans, the trip is in {v}.
correct: Oops, I meant {v}.
restate: Can't wait for the trip in {v}.
restate: The trip is in {v}, as planned.
past: Our last trip was in {v}.
joke: Wouldn't it be nice if the trip was in {v}?
end: We cancelled the trip.
ask: When is {name}'s trip?

# phone
values: 0171 555 0134 | 0151 555 0192 | +44 20 7946 0018 | 555-0147 | 030 555 0166
state: My number is {v}.
state: You can reach me at {v}.
state: My phone number is {v}, save it.
change: I have a new number: {v}.
change: My new number is {v}, please delete {o}.
change: I changed my number, it's {v} now.
correct: Typo, sorry, it's {v}.
restate: Just call me, my number is {v}.
past: My old number was {v}.
joke: The office line is {v}.
third: {Whose} phone number is {v}.
ask: What is {name}'s phone number?
ask: How can I call {name}?
ask_third: What is {whose2} phone number?

# email
values: mail@kestrel.example | hello@oakandfern.example | post@lumen.example | j.doe@riverside.example
state: My email is {v}.
state: You can email me at {v}.
change: My new email address is {v}.
change: I've switched to {v}, the old address is dead.
change: My email changed to {v}.
correct: Sorry, it's {v}.
restate: Send it to my email, {v}.
past: My old email was {v}.
third: {Whose} email is {v}.
ask: What is {name}'s email address?
ask_third: What is {whose2} email address?

# car
values: Skoda Octavia | Honda Jazz | Volvo | Fiat Panda | Tesla | Kia Niro
state: I drive a {v}.
state: My car is a {v}.
state: I have a {v} that has seen better days.
change: I bought a new car, a {v}.
change: I traded the {o} in for a {v}.
change: I drive a {v} now.
change: Sold the {o} and got a {v} instead.
correct: Actually it's a {v}, not a {o}.
restate: My {v} needs new tyres.
restate: I'm still driving the {v}.
past: I used to drive a {v}.
past: My first car was a {v}.
future: I'm saving up for a {v}.
joke: I wish I had a {v}.
joke: A {v} cut me off this morning.
end: I sold my car.
third: {Who} drives a {v}.
third_change: {Who} bought a {v}.
ask: What car does {name} drive?
ask_third: What car does {whose} drive?

# school
values: Uppsala University | Trinity College | Bocconi | the University of Porto | Hanover Tech | Delft
state: I study at {v}.
state: I go to {v}.
state: I'm a student at {v}.
change: I transferred to {v}.
change: I switched schools, I'm at {v} now.
change: I started at {v} this semester.
correct: I meant {v}, sorry.
restate: Studying at {v} is intense.
past: I studied at {v} ages ago.
past: I graduated from {v} in 2009.
future: I've applied to {v}.
future: I'll be starting at {v} next year.
joke: Imagine studying at {v}.
end: I dropped out.
third: {Who} studies at {v}.
third: {Who} goes to {v}.
third_change: {Who} transferred to {v}.
ask: Where does {name} study?
ask_third: Where does {whose} study?

# allergy
values: peanuts | penicillin | cats | shellfish | pollen
many: yes
state: I'm allergic to {v}.
state: I have a {v} allergy.
state: I found out I'm allergic to {v}.
restate: Remember I'm allergic to {v}.
end: I'm no longer allergic to {o}.
end: Turns out I'm not allergic to {o} after all.
joke: I'm allergic to Mondays, ha.
joke: Are you allergic to {v}?
third: {Who} is allergic to {v}.
ask: What is {name} allergic to?
ask_third: What is {whose} allergic to?

# birthday
values: March 4 | 17 November | the 2nd of February | July 23
state: My birthday is on {v}.
state: I was born on {v}.
state: My birthday is {v}.
correct: Sorry, it's {v}, I always mix it up with my brother's.
restate: As you know my birthday is {v}.
joke: Is your birthday {v}?
third: {Whose} birthday is on {v}.
ask: When is {name}'s birthday?
ask_third: When is {whose2} birthday?

# partner
values: Milan | Freya | Jonas | Aisha | Pieter | Carmen
state: My girlfriend's name is {v}.
state: I'm dating {v}.
state: I'm married to {v}.
state: My partner {v} is a great cook.
change: I have a new girlfriend, {v}.
change: I'm with {v} now.
change: I'm seeing someone new, her name is {v}.
restate: {v}, my partner, says hi.
past: I used to date {v}.
past: My ex, {v}, called yesterday.
joke: I wish I was dating {v}.
end: {o} and I broke up.
end: I'm not with {o} any more.
third: {Who} is dating {v}.
third: {Who} is married to {v}.
ask: Who is {name}'s partner?
ask: Who is {name} together with?
ask_third: Who is {whose} together with?

# attr/wifi password
values: tulip42 | greenkettle | sunny-side-7 | marmot99
state: The wifi password is {v}.
state: Our wifi password is {v}.
change: The wifi password is now {v}.
change: I changed the wifi password to {v}.
change: The new wifi password is {v}.
correct: Sorry, I meant {v}.
correct: Correction: it's {v}.
restate: Like I said, the wifi password is {v}.
past: The old wifi password was {v}.
ask: What is {name}'s wifi password?

# attr/landlord
values: Mr Okafor | Mrs Lindgren | Ms Duarte | Mr Petrov
state: My landlord is {v}.
state: The name of my landlord is {v}.
change: My new landlord is {v}.
change: {v} is my landlord now.
correct: Actually my landlord is {v}.
restate: My landlord {v} came by about the boiler.
past: My landlord used to be {v}.
past: My old landlord was {v}.
third: {Whose} landlord is {v}.
ask: Who is {name}'s landlord?
ask_third: Who is {whose2} landlord?
"""

HELD_PEOPLE = ["my sister", "my dad", "my boss", "Ingrid", "my roommate", "Uncle Femi", "my girlfriend's mother"]

HELD_NAMES = ["Nadia", "Olaf", "Priya", "Gwen", "Samuel", "Yuki"]

HELD_CHAT = """
Hey, how's it going?
Not much, just made some soup.
The weather has been awful all week.
Did you see the match last night?
I can't believe it's already Thursday.
That film was way too long.
Thanks, you're the best!
Haha, true.
I was in Madrid for work last week, so tired.
My neighbour works at the harbour and tells the wildest stories.
I love how quiet it is on Sundays.
Lunch was great, we should go again.
Have you read anything good lately?
The train was late again, I waited for 40 minutes.
I'm so tired I could sleep for a week.
Sounds good, talk soon!
We watched a documentary about a chef from Lyon.
My phone battery is dying.
I think I left my umbrella at the office.
It's my turn to cook tonight.
A friend of mine is moving to Rotterdam.
I saw your cousin at the market.
She's a teacher, right?
That's not what I meant, haha.
No worries, take your time.
I finally cleaned the windows.
Actually, I have no idea.
I'm in a meeting, call you later.
I'm at the gym.
Someone left a red Ferrari in front of the bakery.
What a day. What a week, really.
The kids are at their grandparents'.
I'm going to bed, good night!
"""

# Facts with their time, for questions as of a date. {y0} < {y1} < {y2} are years, {v0} {v1} {v2} what held from each on.
HELD_TIMED = """
residence | I lived in {v0} from {y0} to {y1}. / I moved to {v1} in {y1}. / Since {y2} I've been living in {v2}.
residence | I moved to {v0} in {y0}. / In {y1} we relocated to {v1}. / We moved to {v2} in {y2}.
employer | From {y0} until {y1} I worked at {v0}. / I joined {v1} in {y1}. / I started working for {v2} in {y2}.
employer | I worked for {v0} between {y0} and {y1}. / In {y1} I got a job at {v1}. / I've worked at {v2} since {y2}.
"""
