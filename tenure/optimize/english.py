"""English: what people say around a request. Lists, and nothing else: these words are not looked at when requests are compared.

Rules of this file: a word stands here only if no two requests that differ in it alone ask for different things. Negations, question
words, numbers, directions ("from", "by", "off", "out", "before") and logic ("if", "or", "only", "all") never do.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(phrase.split()) for phrase in text.split(",") if phrase.strip())


FILLERS = _words(
    """
    a an the hi hello hey thanks thank so well ok okay there some any still yet anymore able exactly even ever about as it its
    this that these those
    """
)
ADVERBS = _words(
    "please pls plz kindly just also really actually currently simply um guys somehow basically honestly"
)  # wherever they stand
FIRST = _words("i my me mine myself")
SECOND = _words("you your yours u")
PRESENT = _words("is are am be do does can could would might")
PAST = _words("did was were had has have been")
FUTURE = _words("will shall going")
LINKS = _words("may to for of at with on in get got")  # they count before a name, a number and the like
BARE = _words("not no yes why how what when where who which if and or more")  # they say nothing on their own
DROPPED = FILLERS | ADVERBS | FIRST | SECOND | PRESENT | PAST | FUTURE

MONTHS = _words(
    "january february april june july august september october november december jan feb apr jun jul aug sep sept oct nov dec"
)
DAYS = _words("monday tuesday wednesday thursday friday saturday sunday today tomorrow yesterday tonight")
CALENDAR = MONTHS | DAYS  # may and march are words as well: see `guards`
BEFORE_MONTH = _words("in by until since of from next last before after on this")

# What a request begins with before it says anything, and ends with when all is said.
OPENERS = _phrases(
    """
    hi, hello, hey, hey there, hi there, ok, okay, so, well, and, but, good morning, good evening, good afternoon, can you,
    could you, would you, will you, can someone, can anyone, could someone, tell me, tell me about, show me, let me know,
    let me know about, help me, help me to, help me with, help me understand, help with, explain, explain to me, clarify,
    advise me, assist me with, give me information on, give me information about, i would like to, i want to see,
    i would like to see, i need to see, i want to find out, i would like to find out, i want to ask, i want to learn,
    could you tell me, i would like to know, i would like, i want to, i want to know, i want to know about, i want,
    i wanted to, i need to, i need to know, i need, i am trying to, i was trying to, i have been trying to, i am looking to,
    i am looking for, i was hoping to, i am going to, i wish to, i wanted to know, i would like to ask,
    i would like to ask about, i would like to understand, i need to understand, i need to find out, i want to understand,
    i am wondering, i am wondering if, i was wondering, i was wondering if, i wonder, i wonder if, wondering if, wondering,
    i am curious about, i am asking about, i am curious, do you know, do you know if, any idea, is there a way to,
    is there any way to, is there a way i can, is there any way i can, is there a way for me to, is it possible to,
    is it possible for me to, am i able to, how about, i have a question about, i have a question, question about,
    i do not know, i do not understand, i do not get, i do not see, not sure, i need help, i need help with, i need help to,
    need help, need help with, i need some help with, i think, i think that, i believe, i believe that, i noticed,
    i noticed that, i see, i see that, i saw, i saw that, i guess, it looks like, it seems like, it seems that, it seems,
    it appears that, it appears, looks like, seems like,
    """
)
CLOSERS = _phrases(
    """
    help me, help, can you help, can you help me, can you help me with this, could you help, could you help me,
    can you explain, how do i do this, how do i do that, how do i do it, how can i do this, how can i do that,
    how can i do it, how should i do it, how do i do so, how do i go about this, how do i go about that, how do i fix this,
    how do i fix it, how can i fix this, how can i fix it, why, how come, why is this, why is that, right now, now,
    what happened, what gives, is that possible, is this possible, is it possible, if possible, what do i do,
    what do i do now, what should i do, what can i do, and what do i do, what do i need to do, so what do i do, thanks,
    thank you, thanks in advance, thank you in advance, asap,
    """
)

SPOKEN = {
    "can't": "not", "cannot": "not", "cant": "not", "unable": "not", "won't": "will not", "wont": "will not", "shan't": "will not",
    "im": "i am", "i'm": "i am", "whats": "what",
}  # fmt: skip
NEGATED = _words("isnt arent wasnt werent dont doesnt didnt hasnt havent hadnt wouldnt couldnt shouldnt")
ENDINGS = (("n't", "not"), ("'ve", "have"), ("'ll", "will"), ("'d", "would"), ("'re", "are"), ("'s", ""))
SAME: dict[tuple[str, ...], tuple[str, ...]] = {
    ("what", "is", "the", "reason", "for"): ("why",),
    ("what", "is", "the", "reason"): ("why",),
    ("what", "was", "the", "reason"): ("why",),
    ("for", "what", "reason"): ("why",),
    ("how", "come"): ("why",),
}
LONGEST_PHRASE = max(map(len, [*OPENERS, *CLOSERS, *SAME]))  # words
