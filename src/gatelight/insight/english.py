"""English words that error analysis asks for: negations, contrasts, verbs. Data only; knows no text."""

from __future__ import annotations


def _words(listed: str) -> list[str]:
    return listed.split()


_CONTRACTED = _words(
    """don't doesn't didn't isn't aren't wasn't weren't won't wouldn't can't couldn't shouldn't mustn't
    haven't hasn't hadn't ain't needn't"""
)
_BARE = [word.replace("'", "") for word in _CONTRACTED if word != "won't"]
_OTHER_NEGATIONS = (
    """not no never nothing nobody none neither nor nowhere cannot without hardly barely scarcely"""
)
# As people write them, as a tokenizer that drops the apostrophe leaves them, and as the Treebank cuts them.
NEGATIONS = frozenset([*_CONTRACTED, *_BARE, "n't", *_words(_OTHER_NEGATIONS)])
CONTRASTS = frozenset(
    _words("but although though however yet despite whereas nevertheless nonetheless"),
)
SENTENCE_ENDS = frozenset(_words(". ! ? ; .. ... !! !!! ?? ???"))

_REGULAR = _words(
    """like love hate enjoy recommend work make think know want see watch care get go give find feel look seem
    say tell show take come keep believe understand expect miss help let try happen need mean leave bring play
    act appear become call carry catch change convince deliver deserve develop disappoint do end entertain
    explain fail fall fit follow forget grab have hear hold interest involve laugh last learn live lose manage
    matter mind move offer pay prove provide pull push put reach read realize remember rent run save scare sit
    sound spend stand start stay stop succeed suffer suggest surprise talk turn use wait walk waste win wish
    wonder worry write be add bore bother buy can cry die fascinate impress amuse"""
)
_IRREGULAR = _words(
    """is are was were been being am made thought knew known saw seen got gotten went gone gave given found
    felt said told took taken came kept understood meant left brought became caught did done fell forgot had
    has heard held let lost paid put read ran sat spent stood won wrote written bought died"""
)


def _forms(verb: str) -> list[str]:
    stem = verb.removesuffix("e")
    if verb.endswith("y") and verb[-2] not in "aeou":
        return [verb, f"{verb[:-1]}ies", f"{verb[:-1]}ied", f"{verb}ing"]
    third = verb + ("es" if verb.endswith(("s", "sh", "ch", "o")) else "s")
    return [verb, third, f"{stem}ed", f"{stem}ing"]


VERBS = frozenset([form for verb in _REGULAR for form in _forms(verb)] + _IRREGULAR)
