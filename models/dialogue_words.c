#include "models/dialogue_words.h"

const struct topic_words words_topic[DIALOGUE_TOPICS] = {
    {"meeting",
     {"the budget", "the report", "the contract", "the project", "the website", "the survey",
      "the schedule", "the strategy", "the complaint", "the merger"},
     {"Can we talk about {x} {t}?", "We have to discuss {x}. Are you free {t}?",
      "I need your opinion on {x}. Do you have time {t}?",
      "There are problems with {x}. Shall we meet {t}?"},
     "talk about {x}", "talking about {x}", "talked about {x}",
     "{A} and {B} will meet at {p} {t} to discuss {x}.",
     "{A} would like to discuss {x} {t}, but {B} {e}."},
    {"shopping",
     {"shoes", "a jacket", "a lamp", "a present", "a phone", "jeans", "a bag", "a watch",
      "curtains", "a mirror"},
     {"I want to buy {x} {t}. Will you come with me?", "I need {x}. Let's go shopping {t}!",
      "Shall we go to the shops {t}? I'm looking for {x}.",
      "Could you help me choose {x} {t}?"},
     "buy {x}", "buying {x}", "bought {x}",
     "{B} is going shopping with {A} {t}. They are meeting at {p} and {A} wants {x}.",
     "{A} needs {x} and wants to go shopping {t}, but {B} {e}."},
    {"travel",
     {"Rome", "Oslo", "Vienna", "Lisbon", "Dublin", "Prague", "Madrid", "Athens", "Geneva",
      "Warsaw"},
     {"I'm going to {x} {t}. Do you want to come along?", "Let's take the train to {x} {t}!",
      "I found cheap tickets to {x}. We could leave {t}.",
      "Do you feel like a trip to {x}? I would start {t}."},
     "travel to {x}", "travelling to {x}", "travelled to {x}",
     "{A} and {B} are taking a trip to {x}. They leave from {p} {t}.",
     "{A} will take the train to {x} {t} without {B}, because {B} {e}."},
    {"illness",
     {"a cough", "a fever", "a rash", "a cold", "the flu", "toothache", "backache", "an infection",
      "an allergy", "a migraine"},
     {"I have {x}. Can you drive me to the doctor {t}?",
      "I feel awful because of {x}. Will you take me to the doctor {t}?",
      "The doctor wants to see me {t} about {x}. Could you come?",
      "I've got {x} and need a doctor. Are you free {t}?"},
     "see a doctor about {x}", "seeing a doctor about {x}", "saw a doctor about {x}",
     "{A} has {x}. {B} will drive {A} to the doctor {t} and pick {A} up at {p}.",
     "{A} has {x} and needs a lift to the doctor {t}, but {B} {e}."},
    {"exam",
     {"maths", "biology", "history", "physics", "chemistry", "French", "geography", "economics",
      "music", "law"},
     {"I don't understand {x} at all. Can you study with me {t}?",
      "The test in {x} is soon. Shall we learn together {t}?", "Will you explain {x} to me {t}?",
      "I'm afraid of the exam in {x}. Could we practise {t}?"},
     "study {x}", "studying {x}", "studied {x}",
     "{B} will explain {x} to {A} {t} at {p}.",
     "{A} is bad at {x}. {B} {e} and can't learn with {A} {t}."},
    {"repair",
     {"the car", "the bike", "the roof", "the fridge", "the heater", "the printer", "the door",
      "the boiler", "the laptop", "the sink"},
     {"I think {x} is broken. Can you help me {t}?",
      "Do you know how to repair {x}? I could use your help {t}.",
      "Something is wrong with {x}. Will you look at it {t}?",
      "I can't use {x} any more. Could you bring your tools {t}?"},
     "fix {x}", "fixing {x}", "fixed {x}",
     "{B} will help {A} repair {x} {t}. They meet at {p}.",
     "{A} needs help with {x} {t}. {B} {e} and can't repair it."},
    {"cooking",
     {"pizza", "soup", "lasagne", "curry", "pancakes", "risotto", "sushi", "dumplings", "goulash",
      "stew"},
     {"I'm making {x} {t}. Do you want to cook with me?", "Shall we cook {x} {t}?",
      "I have a new recipe for {x}. Let's try it {t}!",
      "I'm hungry for {x}. Could we prepare some {t}?"},
     "cook {x}", "cooking {x}", "cooked {x}",
     "{A} is making {x} with {B} {t}. They buy everything at {p}.",
     "{A} wants to make {x} {t}, but {B} {e} and won't eat with {A}."},
    {"sport",
     {"tennis", "football", "badminton", "golf", "hockey", "volleyball", "chess", "squash",
      "basketball", "rugby"},
     {"Do you want to play {x} {t}?", "We need one more for {x} {t}.",
      "How about a game of {x} {t}?", "I booked us in for {x} {t}. Are you coming?"},
     "play {x}", "playing {x}", "played {x}",
     "{A} and {B} are going to play {x} {t} at {p}.",
     "{A} wants a game of {x} {t}, but {B} {e} and won't play."},
    {"pets",
     {"the dog", "the cat", "the rabbit", "the parrot", "the hamster", "the puppy", "the kitten",
      "the horse", "the turtle", "the goldfish"},
     {"Could you look after {x} {t}?", "I have to go away. Will you feed {x} {t}?",
      "I'm worried about {x}. Can you come to the vet with me {t}?",
      "Somebody has to mind {x} {t}. Do you have time?"},
     "look after {x}", "looking after {x}", "looked after {x}",
     "{B} will mind {x} for {A} {t}. {A} brings it to {p}.",
     "{A} can't find anybody for {x} {t}, because {B} {e}."},
    {"work",
     {"the inventory", "the slides", "the invoice", "the archive", "the newsletter", "the poster",
      "the catalogue", "the interview", "the audit", "the brochure"},
     {"The boss wants us to finish {x} {t}. Is that OK?", "Can you help me with {x} {t}?",
      "I won't manage {x} alone. Could you step in {t}?",
      "Who does {x} {t}? I hoped we could do it together."},
     "work on {x}", "working on {x}", "worked on {x}",
     "{A} and {B} must finish {x} {t} and will use a room at {p}.",
     "{B} {e} and can't help {A} with {x} {t}."},
    {"party",
     {"a birthday", "a wedding", "a barbecue", "a picnic", "a farewell", "a reunion",
      "a graduation", "a concert", "a housewarming", "an anniversary"},
     {"I'm planning {x} {t}. Will you help me?", "Are you coming to {x} {t}?",
      "We should organise {x}. Are you free {t}?", "You are invited to {x} {t}!"},
     "prepare {x}", "preparing {x}", "prepared {x}",
     "{A} is planning {x} at {p} {t} and {B} will be there.",
     "{A} is planning {x} {t}, but {B} {e} and won't be there."},
    {"moving",
     {"the sofa", "the piano", "the wardrobe", "the boxes", "the bed", "the desk", "the table",
      "the bookcase", "the cupboard", "the carpet"},
     {"I have to move {x} {t}. Can you give me a hand?", "Could you help me carry {x} {t}?",
      "I can't lift {x} alone. Are you strong enough to help {t}?",
      "We must get {x} to the new flat {t}. Will you help?"},
     "move {x}", "moving {x}", "moved {x}",
     "{B} will give {A} a hand with {x} {t}. They start at {p}.",
     "{A} has to carry {x} {t} without {B}, because {B} {e}."},
};

static const char *const names[] = {
    "Howard", "Ruth",   "Mia",    "Judy",   "Oscar",  "Nina",    "Paul",    "Clara",  "Simon",
    "Tanya",  "Victor", "Helen",  "Marco",  "Ida",    "Leo",     "Grace",   "Felix",  "Anna",
    "Boris",  "Diana",  "Edgar",  "Fiona",  "Gustav", "Hanna",   "Igor",    "Julia",  "Karl",
    "Laura",  "Martin", "Nora",   "Olga",   "Peter",  "Quentin", "Rosa",    "Stefan", "Tina",
    "Ursula", "Vera",   "Walter", "Xenia",  "Yusuf",  "Zoe",     "Adam",    "Bella",  "Carlos",
    "Daisy",  "Emil",   "Frida",  "George", "Heidi",  "Ivan",    "Jana",    "Kevin",  "Linda",
    "Max",    "Nadia",  "Oliver", "Petra",  "Ralph",  "Sarah",   "Tom",     "Ulla",   "Vince",
    "Wendy",  "Alice",  "Ben",    "Cindy",  "David",  "Elena",   "Frank",   "Gina",   "Henry",
    "Irene",  "Jack",   "Kim",    "Louis",  "Maria",  "Nick",    "Olivia",  "Philip", "Rita",
    "Sam",    "Theo",   "Una",    "Vivian", "Will",   "Yvonne",  "Zack",    "Amir",   "Beth",
    "Chloe",  "Dora",   "Eric",   "Flora",  "Gary",   "Hugo"};

static const char *const places[] = {
    "the station", "the library",  "the mall",       "the office",     "the cafe",
    "the park",    "the bakery",   "the airport",    "the museum",     "the school",
    "the gym",     "the bank",     "the bridge",     "the garage",     "the harbour",
    "the hotel",   "the market",   "the cinema",     "the theatre",    "the church",
    "the hospital", "the castle",  "the fountain",   "the tower",      "the square",
    "the zoo",     "the stadium",  "the university", "the restaurant", "the pharmacy",
    "the beach",   "the supermarket"};

static const char *const days[] = {"today",        "tomorrow",    "tonight",   "on Monday",
                                   "on Tuesday",   "on Wednesday", "on Thursday", "on Friday",
                                   "on Saturday",  "on Sunday"};

static const char *const hours[] = {"at 1", "at 2", "at 3", "at 4",  "at 5",  "at 6",
                                    "at 7", "at 8", "at 9", "at 10", "at 11", "at noon"};

static const char *const excuses_me[] = {
    "I am ill",        "I have to work", "I am away",           "I have no money",
    "I am too tired",  "I have guests",  "I am visiting family", "I have no time",
    "I broke my leg",  "I am very busy", "I hurt my back",      "I have other plans"};
static const char *const excuses_them[] = {
    "is ill",           "has to work", "is away",            "has no money",
    "is too tired",     "has guests",  "is visiting family", "has no time",
    "has a broken leg", "is very busy", "has a sore back",   "has other plans"};

static const char *const greet_a[] = {"Hi {B}!", "Hello {B}, how are you?", "Hey {B}",
                                      "Good morning {B}!", "{B}, are you there?", "Hi there!"};
static const char *const greet_b[] = {"Hi {A}!", "Fine, thanks. And you?", "Hey, what's up?",
                                      "Hello {A}", "Yes, what is it?", "Hi, nice to hear from you"};

static const char *const small_a[] = {
    "Did you see the match last night?", "How is {D}?",        "What terrible weather!",
    "Did you hear about {D}?",           "I saw {D} at {q}.",  "Are you still at {q}?",
    "How was your weekend?",             "I just woke up :)",  "The bus was late again.",
    "Have you met {D}?"};
static const char *const small_b[] = {
    "No, I fell asleep",       "{D} is fine",         "Yes, it never stops raining",
    "No, tell me later!",      "Oh, {D} is always there", "No, I'm at home",
    "Great, I did nothing",    "Lucky you :)",        "As always",
    "Yes, we went to school together"};

static const char *const decline[] = {"Sorry, {e}", "I can't, {e}", "I'd love to, but {e}",
                                      "No chance, {e}", "Unfortunately {e}", "Not this time, {e}"};
static const char *const accept_no[] = {"Too bad :(", "What a pity!", "OK, maybe next time",
                                        "Never mind", "I understand", "Oh no!"};
static const char *const yes[] = {"Sure!", "Yes, of course", "With pleasure", "OK, why not",
                                  "Good idea!", "Count me in", "Yes, I will be there"};
static const char *const move_time[] = {
    "Yes, but could we make it {u}?", "OK, but only {u}", "I can't then. What if we do it {u}?",
    "Gladly, but {u} is better for me", "That's too early, I'm free {u}", "Yes, {u} if you like"};
static const char *const confirm_time[] = {"OK, {u} then", "Fine, {u}", "No problem, {u}",
                                           "Perfect!", "That works too", "All right"};
static const char *const ask_where[] = {"Where do we meet?", "Where?", "Tell me the place",
                                        "And where exactly?", "Where shall I be?"};
static const char *const tell_where[] = {"At {p}", "Let's say {p}", "Come to {p}",
                                         "In front of {p}", "I'll wait at {p}"};
static const char *const move_place[] = {
    "That's far. Can we meet at {q}?", "I'd rather meet at {q}", "No, please, {q} is closer",
    "Isn't {q} better?"};
static const char *const confirm_place[] = {"OK, {q}", "Fine, at {q} then", "As you like", "Sure"};
static const char *const c_comes[] = {"{C} wants to come too", "Can {C} join us?",
                                      "I'll bring {C} along", "By the way, {C} is in",
                                      "I asked {C} as well"};
static const char *const c_speaks[] = {"Hi, I'm looking forward to it!", "Thanks for asking me",
                                       "I'll be there", "Count on me!"};
static const char *const bye_a[] = {"See you!", "Bye {B}", "Thanks, you're the best!",
                                    "Great, see you then", "Thank you so much"};
static const char *const bye_b[] = {"See you!", "Bye!", "Take care {A}", "You're welcome", "Bye {A}"};
static const char *const joins[] = {" {C} will join them."};

#define LIST(table)                                                                                \
    {                                                                                              \
        (int)(sizeof(table) / sizeof((table)[0])), (table)                                         \
    }

const struct word_list words_of[N_WORDS] = {
    [WORDS_NAMES] = LIST(names),
    [WORDS_PLACES] = LIST(places),
    [WORDS_DAYS] = LIST(days),
    [WORDS_HOURS] = LIST(hours),
    [WORDS_EXCUSES_ME] = LIST(excuses_me),
    [WORDS_EXCUSES_THEM] = LIST(excuses_them),
    [WORDS_GREET_A] = LIST(greet_a),
    [WORDS_GREET_B] = LIST(greet_b),
    [WORDS_SMALL_A] = LIST(small_a),
    [WORDS_SMALL_B] = LIST(small_b),
    [WORDS_DECLINE] = LIST(decline),
    [WORDS_ACCEPT_NO] = LIST(accept_no),
    [WORDS_YES] = LIST(yes),
    [WORDS_MOVE_TIME] = LIST(move_time),
    [WORDS_CONFIRM_TIME] = LIST(confirm_time),
    [WORDS_ASK_WHERE] = LIST(ask_where),
    [WORDS_TELL_WHERE] = LIST(tell_where),
    [WORDS_MOVE_PLACE] = LIST(move_place),
    [WORDS_CONFIRM_PLACE] = LIST(confirm_place),
    [WORDS_C_COMES] = LIST(c_comes),
    [WORDS_C_SPEAKS] = LIST(c_speaks),
    [WORDS_BYE_A] = LIST(bye_a),
    [WORDS_BYE_B] = LIST(bye_b),
    [WORDS_JOINS] = LIST(joins),
};
