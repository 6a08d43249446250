"""DEV: the phrase bank that the rules were tuned on. Same format as `phrases_held.py`, no wording and no value in common."""

DEV = """
# residence
values: Porto | Lisbon | Kraków | Denver | Aarhus | Sapporo | New Orleans | Cork | Turin | San José
state: I live in {v}.
state: We live in {v} with two cats.
state: I'm living in {v} at the moment.
state: I currently live in {v}, near the station.
state: I've lived in {v} for six years.
state: {v} is where I live.
state: We have a little house in {v}.
state: I'm from {v}, still live here too.
state: My home is in {v}.
state: We're settled in {v}.
state: I reside in {v}.
state: Yeah I live over in {v}.
state: I rent a place in {v}.
change: I moved to {v} last month.
change: I moved from {o} to {v}.
change: We've moved to {v}!
change: I just moved to {v}, still living out of boxes.
change: Guess who moved to {v}? Me! I live here now.
change: I'm living in {v} now.
change: Update: I live in {v} now.
change: We finally made the move to {v}.
change: I left {o} and moved to {v}.
change: I no longer live in {o}, I moved to {v}.
change: We sold the house in {o} and moved to {v}.
change: As of this week I live in {v}.
change: I've settled in {v}.
change: My new home is {v}.
change: We packed everything up and relocated to {v}.
change: Since June I've been living in {v}.
change: I ended up moving to {v} and I love it here.
change: I'm back in {v} for good.
change: My address changed, I live in {v} now.
correct: Actually I live in {v}, not {o}.
correct: Actually it's {v}, not {o}.
correct: Sorry, I live in {v}, not {o}.
correct: Oops, I meant {v}.
correct: Correction: {v}.
correct: Not {o} but {v}, sorry.
restate: I do live in {v}, you know.
restate: We still live in {v}.
restate: Life in {v} is good. Best thing about living in {v} is the market.
restate: You know I live in {v}, right by the park.
restate: I'm still in {v}.
restate: I've been in {v} all this time.
past: I used to live in {v}.
past: We used to live in {v}, years ago.
past: I lived in {v} for two years after college.
past: When I lived in {v}, I biked everywhere.
past: I grew up in {v}.
past: I was living in {v} back then.
past: I lived in {v} when I was a kid.
past: In my twenties I lived in {v}.
past: I had lived in {v} before that.
future: We're planning to move to {v} next summer.
future: I'm moving to {v} in September.
future: I'll be moving to {v} soon.
future: I'd love to live in {v} one day.
future: I want to move to {v} someday.
future: I'm considering moving to {v}.
future: Maybe I'll move to {v}.
joke: I would live in {v} if I could afford it.
joke: Imagine living in {v}!
joke: I moved to {v}! Just kidding.
joke: My cousin said "I live in {v}" and we all laughed.
joke: She told me that she lives in {v}.
joke: Should I move to {v}?
joke: I visited {v} last weekend.
joke: I could never live in {v}.
joke: I'm flying to {v} tomorrow.
joke: I dreamed that I lived in {v}.
third: {Who} lives in {v}.
third: {Who} lives in {v} with her kids.
third: {Who} is living in {v}.
third: {Who} still lives in {v}.
third_change: {Who} moved to {v}.
third_change: {Who} just moved to {v}.
third_change: {Who} lives in {v} now.
third_change: {Who} has moved from {o} to {v}.
ask: Where does {name} live now?
ask: In which city does {name} live?
ask_third: Where does {whose} live?

# employer
values: Acme Tools | Silverline | Brandt & Sons | Nimbus Cloud | Parkview Hospital | Redwood Robotics | Vantage Air | the post office
state: I work for {v}.
state: I work at {v} as a planner.
state: I'm working at {v}.
state: I'm employed at {v}.
state: I've worked at {v} for ten years.
state: I've been at {v} for three years.
state: I work over at {v}.
state: I have a job at {v}.
state: {v} is my employer.
change: I got a new job at {v}!
change: I got a job at {v}.
change: I started at {v} last week.
change: I left {o} and joined {v}.
change: I just started working for {v}.
change: I quit {o}, I'm at {v} now.
change: I'm working for {v} now.
change: I've moved from {o} to {v}, new team and all.
change: I accepted a position at {v}.
change: I changed jobs, I work at {v} now.
change: My new employer is {v}.
change: I was hired by {v}.
change: {v} hired me!
correct: Actually, I work at {v}, not {o}.
correct: Sorry, I work for {v}.
correct: I meant {v}, not {o}.
restate: I still work at {v}.
restate: Work at {v} is fine, same as ever. I like working at {v}.
restate: You know I work for {v}.
past: I used to work at {v}.
past: I worked for {v} back then.
past: When I worked at {v} we had free lunch.
past: I worked at {v} until 2015.
past: Before that I worked at {v}.
future: I'm starting at {v} next month.
future: I'm going to work for {v} from January.
future: I have applied for a job at {v}.
future: I'd like to work for {v}.
joke: If I worked at {v} I'd be rich.
joke: Do you work at {v}?
joke: I heard a guy say he works at {v}.
joke: I waited at {v} for an hour.
joke: She asked whether I work at {v}.
end: I quit my job.
end: I left my job at {o}.
end: I lost my job.
end: I got laid off.
end: I was fired.
end: I don't work at {o} any more.
end: I've left {o}.
end: I'm not working at {o} anymore.
end: I resigned from {o}.
third: {Who} works for {v}.
third: {Who} is working at {v}.
third: {Who} has a job at {v}.
third_change: {Who} started a new job at {v}.
third_change: {Who} works for {v} now.
third_change: {Who} joined {v}.
ask: Where does {name} work?
ask: Who is {name}'s employer?
ask_third: Who does {whose} work for?

# job_title
values: nurse | carpenter | software engineer | florist | high school teacher | accountant | bus driver | photographer
state: I'm a {v}.
state: I work as a {v} here.
state: I am a {v} and I love it.
state: My job is {v}.
state: I've been a {v} for years.
state: I'm working as a {v}.
state: By profession I'm a {v}.
state: I do {v} work, I'm a {v}.
change: I'm a {v} now.
change: I became a {v}.
change: I've become a {v}.
change: I now work as a {v}.
change: I started working as a {v}.
change: I changed careers, I'm a {v} now.
change: I got a job as a {v}.
change: I was promoted to {v}.
change: I quit being a {o} and became a {v}.
change: My new job is {v}.
correct: Actually I'm a {v}.
correct: Sorry, I meant {v}.
correct: I'm a {v}, not a {o}.
restate: As a {v} you see everything.
restate: I'm still a {v}.
restate: I do like being a {v}.
past: I used to work as a {v}.
past: I was a {v} once.
past: I worked as a {v} for a while.
past: Before that I was a {v}.
future: I'm going to be a {v}.
future: I'd like to be a {v}.
future: I'm studying to become a {v}.
joke: I wish I were a {v}.
joke: I could be a {v} by now.
joke: We need a {v}.
joke: A {v} told me that.
joke: I talked to a {v} today.
third: {Who} is a {v}.
third: {Who} works as a {v} in town.
third_change: {Who} became a {v}.
third_change: {Who} works as a {v} now.
ask: What does {name} do?
ask: What is {name}'s profession?
ask_third: What does {whose} do?

# age
values: 33 | 34 | 35 | 36
ordered: yes
state: I'm {v}.
state: I am {v} years old.
state: My age is {v}.
state: I'm {v} now.
state: I'm {v} by the way.
change: I turned {v} last week!
change: I'm {v} now, had my birthday.
change: I just turned {v}.
change: I've turned {v}, can you believe it.
change: Today I turn {v}.
restate: I'm {v}, remember?
restate: I'm {v} after all.
past: I was 21 at the time.
past: I was 15 when we met.
past: When I was 25 I went to Peru.
future: I'll be 50 some day.
future: I will turn 40 eventually.
joke: I feel 80.
joke: I'm 5 minutes away.
joke: If I were 20 again.
joke: I'm 100 percent sure.
joke: I'm 20 minutes late.
third: {Who} is {v}.
third: {Who} just turned {v}.
ask: How old is {name} now?
ask_third: How old is {whose}?

# marital_status
values: single | married | divorced | engaged
state=single: I'm single.
state=married: I'm happily married.
state=married: We've been married for three years.
state=married: I am married with two kids.
state=engaged: I'm engaged to be married.
state=divorced: I'm divorced now.
state=single: I'm still single.
change=married: I got married last weekend!
change=married: We just got married.
change=married: I'm married now.
change=married: We finally tied the knot.
change=engaged: I got engaged!
change=engaged: We're engaged!
change=engaged: We just got engaged.
change=divorced: We got divorced.
change=divorced: I'm getting used to it, we're divorced now.
change=divorced: My divorce is final.
change=single: I'm single now.
change=single: We split up.
change=single: We broke up last week.
restate=married: We're still married.
restate=married: I'm a married man, you know.
restate=single: I'm still single.
restate=divorced: I'm divorced, as you know.
restate=engaged: We're still engaged.
past=married: I was married before.
past=single: I was single back then.
past=married: I used to be married.
future: We're getting married next year.
future: We'll get married in June.
future: I'd love to get married.
joke: I wish I was married.
joke: Are you married?
joke: I'm married to my job.
joke: My cousin got married to a clown.
third=married: {Who} is married.
third=single: {Who} is single.
third=engaged: {Who} is engaged.
third_change=married: {Who} just got married.
third_change=engaged: {Who} got engaged.
third_change=divorced: {Who} got divorced last year.
ask: Is {name} married or single?
ask_third: Is {whose} single?

# pet_name/dog
values: Rex | Luna | Bello | Cooper | Daisy | Ziggy
state: My dog is called {v}.
state: I have a dog named {v}.
state: We got a puppy called {v}.
state: My dog {v} loves the beach.
state: Our dog's name is {v}.
state: I have a dog, {v}.
state: I adopted a golden retriever called {v}.
state: {v} is my dog.
state: The dog's name is {v}.
change: We renamed our dog to {v}.
change: We renamed {o}, her name is {v} now.
change: The dog is called {v} now.
change: I changed my dog's name from {o} to {v}.
correct: Actually the dog is called {v}.
correct: Sorry, her name is {v}, not {o}.
correct: I meant {v}.
restate: My dog {v} is barking again.
restate: {v} is my dog's name, you know.
restate: I took {v} to the vet.
past: I used to have a dog called {v}.
past: My first dog was called {v}.
past: We had a dog named {v} when I was little.
future: Our next dog will be called {v}.
joke: I'd name a dog {v}.
joke: Is your dog called {v}?
joke: She has a cat named {v}.
third: {Who} has a dog named {v}.
third: {Whose} dog's name is {v}.
third: {Who} got a dog called {v}.
ask: What's the name of {name}'s dog?
ask_third: What's the name of {whose2} dog?

# favourite/food
values: ramen | lasagne | tacos | pierogi | green curry | paella
state: My favorite food is {v}.
state: My favourite food is {v}, no contest.
state: My fave food is {v}.
state: {v} is my favourite food.
state: My absolute favourite food is {v}.
change: My favourite food is {v} now.
change: My new favourite food is {v}.
change: My favorite food has changed to {v}.
change: {v} is my favourite food now.
change: {v} has become my favourite food.
correct: Actually my favourite food is {v}.
correct: I changed my mind, it's {v}.
correct: Scratch that, it's {v}.
restate: Like I said, my favourite food is {v}.
restate: {v} is still my favourite food.
restate: My favourite food is still {v}.
past: My favourite food used to be {v}.
past: As a child my favourite food was {v}.
past: {v} used to be my favourite food.
joke: Is {v} your favourite food?
joke: I had {v} for lunch.
joke: If {v} were my favourite food I'd be broke.
third: {Whose} favourite food is {v}.
third_change: {Whose} favourite food is {v} now.
ask: What's {name}'s favourite food?
ask_third: What's {whose2} favourite food?

# favourite/movie
values: Paddington | Spirited Away | Heat | Amélie | Alien | Casablanca
state: My favorite movie is {v}.
state: My favourite movie ever is {v}.
state: {v} is my favorite movie.
change: My favourite movie is now {v}.
change: {v} is my new favourite movie.
correct: Actually, my favorite movie is {v}, not {o}.
correct: I meant {v}, not {o}.
restate: My favourite movie is {v}, you know that.
past: My favourite movie used to be {v}.
joke: I watched {v} last night.
third: {Whose} favourite movie is {v}.
ask: What is {name}'s favourite movie?
ask_third: What is {whose2} favourite movie?

# likes/coffee
values: yes | no
state=yes: I like coffee.
state=yes: I love coffee.
state=yes: I enjoy coffee.
state=yes: I adore coffee.
state=no: I hate coffee.
state=no: I don't like coffee.
state=no: I dislike coffee.
state=no: I can't stand coffee.
state=no: I'm not a fan of coffee.
change=no: I no longer like coffee.
change=no: I don't like coffee anymore.
change=no: I stopped liking coffee.
change=no: I've gone off coffee.
change=no: I don't enjoy coffee any more.
change=no: I used to love coffee, not any more.
change=yes: I like coffee now.
change=yes: I started liking coffee.
change=yes: I've started to like coffee.
change=yes: I love coffee these days.
restate=yes: I really love coffee.
restate=yes: I still love coffee.
restate=no: I still hate coffee.
restate=no: I really don't like coffee.
past: I used to work near a place with terrible coffee.
joke: Do you like coffee?
joke: I would like coffee.
joke: I'd love some coffee.
joke: Who doesn't like coffee?
third=yes: {Who} likes coffee.
third=no: {Who} hates coffee.
third=no: {Who} can't stand coffee.
ask: Does {name} like coffee?
ask_third: Does {whose} like coffee?

# diet
values: vegetarian | vegan | pescatarian | meat eater
state=vegetarian: I'm vegetarian.
state=vegetarian: I am a vegetarian.
state=vegetarian: I don't eat meat.
state=vegan: I'm a vegan.
state=vegan: I've been vegan for years.
state=vegan: I follow a vegan diet.
state=pescatarian: I'm a pescatarian.
change=vegan: I'm vegan now.
change=vegan: I went vegan.
change=vegan: I became vegan.
change=vegan: I've turned vegan.
change=vegetarian: I went vegetarian.
change=vegetarian: I stopped eating meat.
change=vegetarian: I gave up meat.
change=vegetarian: I've become a vegetarian.
change=vegetarian: I no longer eat meat.
change=meat eater: I started eating meat again.
change=meat eater: I'm eating meat again.
end=vegetarian: I'm no longer vegetarian.
change=pescatarian: I became pescatarian.
restate=vegan: I'm still vegan.
restate=vegetarian: I'm vegetarian, remember.
restate=vegetarian: I still don't eat meat.
past=vegan: I used to be vegan.
past=vegetarian: I was vegetarian in college.
future: I'd like to go vegan.
future: I'm going to try going vegan.
joke: Are you vegan?
joke: I had the vegan burger.
third=vegan: {Who} is a vegan.
third=vegetarian: {Who} is vegetarian.
third_change=vegan: {Who} became vegan.
third_change=vegetarian: {Who} stopped eating meat.
ask: What does {name} eat, any special diet?
ask_third: Is {whose} vegan or vegetarian?

# plan/party
values: April 5 | 2 June | the 8th of November | December 20 | January 11
state: The party is on {v}.
state: My party is on {v}.
state: We're throwing the party on {v}.
state: The party will be {v}.
state: The party is scheduled for {v}.
state: The party is going to be on {v}.
change: We moved the party to {v}.
change: The party was moved to {v}.
change: The party has been moved to {v}.
change: The party is on {v} now.
change: We've postponed the party to {v}.
change: We rescheduled the party for {v}.
change: The party got moved from {o} to {v}.
change: The party is now on {v}.
change: Change of plans: the party is on {v}.
change: The new date for the party is {v}.
correct: Actually it's on {v}.
correct: Sorry, {v}.
correct: No wait, {v}, not {o}.
correct: Correction, the party is on {v}.
correct: I meant {v}, not {o}.
restate: See you at the party on {v}.
restate: Don't forget, the party is on {v}.
restate: The party is still happening on {v}.
past: The last party was on {v}.
joke: Should the party be on {v}?
joke: I wish the party was on {v}.
end: The party is cancelled.
end: We cancelled the party.
end: The party has been called off.
ask: When is {name}'s party?

# plan/meeting
values: Monday | Tuesday | Wednesday | Thursday | Friday
state: My meeting is on {v}.
state: I have a meeting on {v}.
state: The meeting is {v} at noon.
change: The meeting has been moved to {v}.
change: They moved my meeting to {v}.
change: My meeting was rescheduled to {v}.
change: The meeting was pushed to {v}.
change: My meeting is now on {v}.
correct: Actually, it's {v}.
correct: Wait, it's {v}.
correct: Sorry, not {o}, {v}.
correct: Make that {v}.
restate: The meeting is still on {v}.
restate: As I said the meeting is on {v}.
joke: Is the meeting on {v}?
end: The meeting was cancelled.
end: My meeting is off.
ask: When is {name}'s meeting?

# plan/vacation
values: June | July | January | February | December
state: Our vacation is in {v}.
state: My vacation starts in {v}.
state: We're going on vacation in {v}.
state: We booked our vacation for {v}.
change: We pushed our vacation to {v}.
change: Our vacation is in {v} now.
change: We had to move our vacation to {v}.
change: The vacation was delayed until {v}.
correct: I meant {v}, not {o}.
correct: Sorry, it's {v}.
restate: Our vacation is still in {v}.
restate: So looking forward to our vacation in {v}!
past: Last year our vacation was in {v}.
joke: If our vacation was in {v} we could surf.
end: Our vacation got cancelled.
ask: When is {name}'s vacation?

# phone
values: 555-0101 | 555-0188 | +1 202 555 0119 | 020 7946 0999 | (415) 555-0133
state: My phone number is {v}.
state: My number's {v}.
state: Call me on {v}.
state: My cell is {v}.
state: My mobile number is {v}.
change: My new phone number is {v}.
change: I got a new number, it's {v}.
change: My number changed to {v}.
change: My number is {v} now.
change: My number has changed: {v}.
correct: Sorry, it's {v}.
correct: I meant {v}.
correct: Oops, wrong digits: {v}.
restate: My number is still {v}.
restate: Text me at {v}.
past: My old phone number was {v}.
past: My number used to be {v}.
joke: I got a spam call from {v}.
joke: Is your number {v}?
third: {Whose} number is {v}.
ask: What's {name}'s phone number?
ask_third: What's {whose2} phone number?

# email
values: anna@willow.example | info@birchwood.example | me@harbor.example | x.y@pinecone.example
state: My email address is {v}.
state: My e-mail is {v}.
state: Write to me at {v}.
change: My email is now {v}.
change: I have a new email: {v}.
change: I changed my email to {v}.
correct: Oops, it's {v}.
correct: I meant {v}.
restate: My email is still {v}.
past: My previous email was {v}.
joke: I got spam from {v}.
third: {Whose} email address is {v}.
ask: What is {name}'s email?
ask_third: What is {whose2} email address?

# car
values: Toyota Corolla | Mini Cooper | Ford Focus | Subaru | BMW | Renault Clio
state: My car is a {v}.
state: I drive an old {v}.
state: I own a {v}.
state: We have a {v}.
state: I've got a {v}.
change: I got a new car, it's a {v}.
change: I bought a {v}.
change: My new car is a {v}.
change: I just bought a new {v}.
change: I replaced the {o} with a {v}.
change: I traded in my {o} for a {v}.
change: I'm driving a {v} now.
change: I switched to a {v}.
correct: Sorry, it's a {v}.
correct: Actually my car is a {v}.
restate: I still drive a {v}.
restate: I love driving my {v}.
past: I used to have a {v}.
past: I drove a {v} back then.
future: I'm going to buy a {v}.
future: I'm thinking of getting a {v}.
joke: I'd love a {v}.
joke: I rented a {v} on the trip.
end: I got rid of my car.
end: I sold the {o}.
end: I no longer have a car.
third: {Who} drives a {v} too.
third_change: {Who} drives a {v} now.
ask: What car does {name} have?
ask_third: What does {whose} drive?

# school
values: Stanford | Oxford Brookes | McGill | the University of Ghent | Kyoto University | Leeds
state: I study law at {v}.
state: I'm studying at {v}.
state: I attend {v}.
state: I'm a student at {v} right now.
state: I go to school at {v}.
state: I'm at university in town, my university is {v}.
change: I transferred to {v}.
change: I just started at {v}.
change: I'm studying at {v} now.
change: I switched to {v}.
change: I enrolled at {v}.
correct: Sorry, I study at {v}, not {o}.
correct: Actually it's {v}.
restate: I still study at {v}.
restate: My classes at {v} are great.
past: I went to {v}.
past: I used to study at {v}.
past: I studied physics at {v} back in the day.
past: I got my degree from {v}.
future: I'm going to study at {v}.
future: I got into {v}, starting in fall.
joke: I wish I studied at {v}.
joke: Did you go to {v}?
end: I left university.
end: I finished my studies.
third: {Who} attends {v}.
third: {Who} is a student at {v}.
third_change: {Who} started at {v}.
ask: Where does {name} go to university?
ask_third: Where does {whose} go to university?

# allergy
values: gluten | bee stings | eggs | dust | latex
many: yes
state: I'm allergic to {v}.
state: I have an allergy to {v}.
state: Turns out I'm allergic to {v}.
state: I've always been allergic to {v}.
restate: I'm still allergic to {v}.
end: I'm not allergic to {o} anymore.
end: I'm no longer allergic to {o}.
joke: Is he allergic to {v}?
joke: I would hate to be allergic to {v}.
third: {Who} is allergic to {v}.
ask: What allergies does {name} have?
ask_third: What is {whose} allergic to?

# birthday
values: May 9 | 30 September | the 12th of October | December 1
state: My birthday is {v}.
state: My birthday's on {v}.
state: I was born on {v}.
state: I have my birthday on {v}.
correct: I meant {v}.
correct: Sorry, it's {v}, not {o}.
restate: My birthday is still {v}, haha.
restate: My birthday is on {v}, don't forget.
joke: Was your birthday on {v}?
third: {Whose} birthday is {v}.
ask: When was {name} born?
ask_third: When is {whose2} birthday?

# partner
values: Mark | Sofia | Daniel | Mei | Lukas | Elena
state: My boyfriend's name is {v}.
state: My wife is called {v}.
state: My husband {v} works nights.
state: I'm in a relationship with {v}.
state: I'm engaged to {v}.
state: {v} is my boyfriend.
change: I'm dating {v} now.
change: My new boyfriend is {v}.
change: I'm seeing {v} now.
change: I started dating {v}.
change: {v} and I are together now.
restate: {v} is still my partner.
restate: My partner {v} says hello.
past: I used to go out with {v}.
past: I dated {v} in college.
past: My ex-boyfriend was called {v}.
joke: I'd date {v} in a heartbeat.
joke: Are you dating {v}?
end: I broke up with {o}.
end: {o} and I split up.
end: I'm no longer with {o}.
third: {Who} is engaged to {v}.
third: {Who} is seeing {v}.
ask: Who is {name} dating?
ask_third: Who is {whose} with?

# attr/door code
values: 4711 | 90210 | 1357 | 2468 | 8080
state: The door code is {v}.
state: My door code is {v}.
state: The code for the door is {v}.
change: The door code is {v} now.
change: They changed the door code to {v}.
change: The door code changed to {v}.
change: The new door code is {v}.
correct: Sorry, it's {v}.
correct: No, {v}, not {o}.
correct: Typo: {v}.
restate: The door code is still {v}.
past: The old door code was {v}.
past: The door code used to be {v}.
joke: Is the door code {v}?
ask: What is {name}'s door code?

# attr/dentist
values: Dr Weiss | Dr Molina | Dr Chen | Dr Abara
state: My dentist is {v}.
state: The name of my dentist is {v}.
state: My dentist's name is {v}.
state: {v} is my dentist.
change: My new dentist is {v}.
change: My dentist is {v} now.
change: I switched dentists, I see {v} now.
correct: I meant {v}.
correct: Actually it's {v}.
restate: My dentist is still {v}.
past: My old dentist was {v}.
past: {v} used to be my dentist.
third: {Whose} dentist is {v}.
ask: Who is {name}'s dentist?
ask_third: Who is {whose2} dentist?

# residence
change: Moved to {v}!
change: Just moved to {v}, what a week.
change: Living in {v} now.
change: So we sold everything and moved to {v}.
change: Big change for us, we live in {v} now.
change: We traded {o} for {v} and never looked back.
change: I've been living in {v} for a month now, {o} feels far away.
change: Moving day is over, I'm finally living in {v}.
change: I swapped {o} for {v}.
restate: Since I live in {v}, I can walk everywhere.
restate: I can't come, I live in {v}, remember?
restate: Being from elsewhere, I still love living in {v}.
restate: Where I live, in {v}, the shops close at six.
future: Thinking about moving to {v}.
future: Hoping to move to {v} someday.
future: We plan on moving to {v} eventually.
future: My dream is to live in {v}.
future: Next year we're off to {v} for good.
future: We've decided to move to {v} next spring.
joke: My mum thinks I should move to {v}.
joke: People always ask if I live in {v}.
joke: They wanted me to move to {v} but I said no.
joke: I almost moved to {v} once.
joke: I didn't move to {v} in the end.
joke: We stayed in {v} for a week.
past: Before we came here we lived in {v}.
past: I once lived in {v}, ages ago.
past: Back in the day I lived in {v}.
third: {Who} has lived in {v} since 2012.
third: {Who} resides in {v}.
third_change: {Who} finally moved to {v}.
third_change: {Who} relocated to {v} for work.

# employer
change: Got a new job at {v}!
change: Started working at {v} this week.
change: Started a new job at {v} today.
change: Left {o}, now I'm with the people at {v}. I mean I work at {v} now.
change: First day at {v} done! I work there now. So yes, I work at {v} now.
change: I got hired at {v}.
change: I've taken a job with {v}.
change: I handed in my notice at {o} and joined {v}.
restate: Since I work at {v}, I get a discount.
restate: Here at {v}, where I work, nobody wears a tie. Yes, I work at {v}.
future: They offered me a job at {v} but I haven't decided.
future: I start at {v} next month.
future: Hoping to get a job at {v}.
future: I've got an offer from {v}.
future: I'm thinking about joining {v}.
joke: My uncle thinks I work at {v}.
joke: I almost joined {v} last year.
joke: I didn't get the job at {v}.
joke: I bought this at {v}.
past: Ten years ago I worked at {v}.
past: My first job was at {v}.
end: Quit my job today.
end: I stopped working at {o}.
third: {Who} has been working for {v} for years.
third_change: {Who} got hired by {v}.

# job_title
change: Got promoted to {v}!
change: Started a new job as a {v}.
change: I've been promoted, I'm a {v} now.
change: I went back to school and became a {v}.
restate: I work as a {v}, you know.
restate: Since I'm a {v}, people ask me for advice.
future: I'd love to become a {v}.
future: I'm hoping to become a {v}.
future: I start as a {v} next month.
joke: People think I'm a {v}.
joke: My mum wanted me to be a {v}.
joke: I almost became a {v}.
joke: I'm dating a {v}.
joke: My neighbour is a {v}.
past: Years ago I was a {v}.
past: I started out as a {v}.
third: {Who} has been a {v} for years.
third_change: {Who} got promoted to {v}.

# age
change: Turned {v} today!
change: I'm officially {v}.
change: I'm {v} years old now.
restate: I'm {v} years old, not a kid.
restate: I'm {v}, as you know.
future: I turn 60 in some years.
future: When I'm 64 I'll retire.
joke: I ran 10 miles.
joke: Everybody thinks I'm 25.
joke: I look like I'm 70.
past: I was 18 back then.
third: {Who} turned {v}.

# marital_status
change=married: Got married!
change=married: We're married now!
change=engaged: Got engaged last night!
change=engaged: He proposed and now we're engaged.
change=divorced: Finally divorced.
change=divorced: I'm officially divorced.
change=single: I'm single these days.
restate=married: My wife and I have been married for ages.
restate=divorced: Being divorced has its upsides. I'm divorced, after all.
future: Hoping to get married one day.
future: We're thinking about getting married.
joke: Everyone thinks I'm married.
joke: My sister's friend is divorced.
joke: I almost got married once.

# pet_name/dog
state: We just got a dog, {v}.
state: My poodle is called {v}.
state: Our labrador's name is {v}.
state: I have a little terrier named {v}.
change: We decided to rename the dog, she's called {v} now.
change: Our dog's new name is {v}.
restate: {v}, my dog, ate my shoes.
restate: Our dog {v} hates the mailman.
joke: If I had a dog I'd call it {v}.
joke: My aunt wants to name her dog {v}.

# favourite/food
change: I think {v} is my favourite food now.
change: My favourite food these days is {v}.
restate: You know my favourite food is {v}.
restate: My favourite food, {v}, is on the menu.
joke: I never liked {v}.

# likes/coffee
state=yes: I'm a big coffee fan. I love coffee.
state=no: I can't stand coffee, honestly.
state=no: I have never liked coffee.
change=no: I stopped drinking it, I don't like coffee any longer.
change=no: I'm not a fan of coffee anymore.
change=yes: I never thought I'd say it, but I like coffee now.
change=yes: I've come to love coffee.
restate=yes: I love coffee, as you know.
restate=no: As you know I hate coffee.
joke: They say everybody loves coffee.
joke: I'd like a coffee, please.

# diet
state=vegetarian: I've always been vegetarian.
state=vegan: As a vegan I cook a lot. I'm vegan.
change=vegan: I'm fully vegan now.
change=vegan: We went vegan in January.
change=vegetarian: I turned vegetarian.
change=meat eater: I eat meat now.
change=meat eater: I've gone back to eating meat.
restate=vegan: I'm vegan, remember?
restate=vegan: I'm vegan, so no cheese.
restate=vegetarian: I'm a vegetarian, as you know.
future: I want to go vegan.
future: I'm trying to go vegan.
joke: Everyone thinks I'm vegan.
joke: We tried the new vegan restaurant.

# plan/party
change: We've brought the party forward to {v}.
change: The party's been moved to {v}.
change: We're moving the party to {v}.
change: The party had to be moved to {v}.
change: New plan, the party is on {v}.
restate: The party on {v} will be fun.
restate: I'm looking forward to the party on {v}.
restate: I bought drinks for the party on {v}.
joke: I'd rather have the party on {v}.
joke: We thought about having the party on {v}.
end: The party isn't happening.
end: We had to cancel the party.

# plan/meeting
change: They pushed the meeting back to {v}.
change: My meeting got bumped to {v}.
restate: I have to prepare for the meeting on {v}.
end: They cancelled my meeting.

# phone
change: New number: {v}.
change: I switched my number to {v}.
restate: You can still reach me at {v}.
joke: Some guy called me from {v}.

# car
change: Bought a {v}!
change: We finally bought a {v}.
change: I got rid of the {o} and bought a {v}.
change: I have a {v} now.
restate: My {v} broke down again. I still drive a {v}.
restate: I drive a {v}, remember?
joke: My neighbour bought a {v}.
joke: I almost bought a {v}.
joke: They gave me a {v} as a rental.
future: I want to buy a {v}.

# school
change: I changed universities, I study at {v} now.
restate: Since I study at {v}, I live on campus.
restate: I'm a student at {v}, you know.
joke: I almost went to {v}.
joke: My cousin wants to study at {v}.
future: I'm hoping to study at {v}.
future: I'll be a student at {v} from next term on.
change: New uni for me, I'm at {v} now.
change: I started my degree over, I'm a freshman at {v} now.
change: Started at {v} this term.
past: Years ago I studied at {v}.

# allergy
restate: I can't eat that, I'm allergic to {v}.
joke: They asked if I'm allergic to {v}.

# partner
state: My girlfriend is called {v}.
state: I've been with {v} for years, {v} is my boyfriend.
change: I have a new boyfriend, {v}.
change: I'm dating someone new, {v}.
change: I'm in a relationship with {v} now.
restate: My boyfriend {v} made dinner.
restate: My wife {v} is out of town.
joke: Everyone thinks I'm dating {v}.
joke: I had lunch with {v}.
end: We broke up, {o} and I.
end: I split up with {o}.

# attr/dentist
change: I changed dentists, I go to {v} now.
restate: I saw my dentist, {v}, again.
joke: Somebody recommended {v}.
"""

DEV_PEOPLE = ["my brother", "my mum", "my manager", "Astrid", "my flatmate", "Aunt Rosa", "my best friend Leo", "my wife's sister"]

DEV_NAMES = ["Anna", "Bruno", "Mira", "Tom", "Chidi", "Elif"]

DEV_CHAT = """
Hi! How are you?
Pretty good, thanks. You?
It rained the whole day.
I just got back from the supermarket.
The concert last night was amazing.
I'm so happy for you!
That's great news.
What are you up to this weekend?
I had a long day at work.
My sister sends her love.
We went to Rome for the weekend once, lovely place.
I made pancakes this morning.
The bus driver was in a bad mood.
I'm reading a book about Paris.
Can't complain.
I'm a bit under the weather.
I need a holiday.
Let me know when you're home.
My brother is visiting next week.
He works too much.
The new neighbours seem nice.
I love this song.
I'm running late, sorry!
Actually, never mind.
I'm on the bus.
It's a beautiful day in the park.
My back hurts.
I just finished my homework.
My boss is driving me crazy.
I was at the doctor's this morning.
I hate Mondays.
It's on Netflix now.
You're a star.
My cat knocked over the plant.
"""

DEV_TIMED = """
residence | I moved to {v0} in {y0}. / I moved to {v1} in {y1}. / I've lived in {v2} since {y2}.
residence | Between {y0} and {y1} I lived in {v0}. / In {y1} I moved to {v1}. / I moved from {v1} to {v2} in {y2}.
employer | I joined {v0} in {y0}. / I left {v0} and joined {v1} in {y1}. / I've been working for {v2} since {y2}.
employer | From {y0} to {y1} I worked for {v0}. / I started at {v1} in {y1}. / I started a new job at {v2} in {y2}.
"""
