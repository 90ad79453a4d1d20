"""Which language a text is in, by its function words. Knows nothing of scripts, labels or models.

A few words make up a third of any text: counting them tells languages of Latin script apart in a sentence
or two, at the cost of a table look-up per token. Words that several of them share count for each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gatelight.compiled import compiled

FUNCTION_WORDS: dict[str, str] = {
    "English": "the and of to is that it in this was as with for but not his her he she they are have be "
    "you on at from by an or so if what all there who which would will",
    "German": "der die das und ist nicht ein eine einer mit von zu den dem des auf für sich im auch es "
    "ich wird sind als war aber wie noch nur oder wenn man sie wir haben hat bei",
    "French": "le la les et est un une des du dans que qui pas pour ce il elle sur au avec ne se plus "
    "sont mais par je vous nous cette aux été ou très c'est l'on",
    "Spanish": "el la los las y es un una de del en que no por con para se su lo al como más pero sus "
    "este esta le ya muy son fue está o si porque",
    "Italian": "il lo la gli le e è un una di del della che non per con in sono si da dei nel alla al "
    "come più ma anche questo questa ha ho o se molto",
    "Portuguese": "o a os as e é um uma de do da em que não por com para se no na mais dos das ao como mas "
    "foi ele ela são muito seu sua está isso",
    "Dutch": "de het een en is van niet dat die in op te met voor zijn er aan ook als maar om dan nog "
    "bij uit naar wel heb heeft deze dit wordt ik je wat was",
    "Danish, Norwegian or Swedish": ""
    "og och er är at att det en et ett som på for för med av den ikke inte til till om har jeg jag de så "
    "men var seg sig fra från vi kan når när meget mycket eller hun hon han blir bliver også",
    "Polish": "i w nie na się to z do jest że jak o co po ale tak od jego przez tym już za ma czy być "
    "są tego dla był bardzo może tylko",
    "Turkish": "ve bir bu da de için çok ne ile daha ama o gibi kadar en var olarak değil mi ben sonra "
    "şey her olan ki yok",
    "Finnish": "ja on ei se että oli hän mutta kun niin ovat myös tai kuin en joka mitä tämä minä sen "
    "jos vain ole olen nyt",
    "Czech": "a je se na v to že s z do o jako ale by pro za jsem tak ve po co jen k od jsou není už "
    "nebo když",
    "Romanian": "și de la în a cu este nu pe un o că din care mai sunt pentru ca se sau dar fost acest "
    "această ce foarte",
    "Indonesian and Malay": ""
    "yang dan di dengan untuk ini itu tidak dari dalam pada ke adalah akan saya ada juga oleh "
    "mereka sudah bisa kami",
}  # fmt: skip
NAMES = tuple(FUNCTION_WORDS)
UNDECIDED = -1
LEAST_WORDS = 10
LEAST_SHARE = 0.15  # of a text's words; English prose has 0.4
MARGIN = 2.0  # times the runner-up's count

MASKS: dict[str, int] = {}
for _number, _words in enumerate(FUNCTION_WORDS.values()):
    for _word in _words.split():
        MASKS[_word] = MASKS.get(_word, 0) | 1 << _number


def languages(
    tokens: npt.NDArray[np.int32],
    lengths: npt.NDArray[np.int64],
    masks: npt.NDArray[np.int32],
    is_word: npt.NDArray[np.bool_],
) -> npt.NDArray[np.int8]:
    """Return the place in `NAMES` of each text's language, int8 [B]; UNDECIDED where too little tells it.

    `tokens` int32 [N] are token numbers, text after text; `masks` int32 and `is_word` bool, both [types],
    say of each which languages' function word it is (`MASKS`), and whether it is a word at all.
    """
    out = np.full(len(lengths), UNDECIDED, np.int8)
    _decide(tokens, lengths, masks, is_word, len(NAMES), out)
    return out


@compiled
def _decide(tokens: Any, lengths: Any, masks: Any, is_word: Any, n: int, out: Any) -> None:
    place = 0
    counts = np.zeros(n, np.int64)
    for text in range(len(lengths)):
        counts[:] = 0
        words = 0
        for _ in range(lengths[text]):
            token = tokens[place]
            place += 1
            words += is_word[token]
            mask = masks[token]
            if mask:
                for language in range(n):
                    counts[language] += mask >> language & 1
        best = np.argmax(counts)
        second = 0
        for language in range(n):
            if language != best and counts[language] > second:
                second = counts[language]
        if (
            words >= LEAST_WORDS
            and counts[best] >= LEAST_SHARE * words
            and counts[best] >= MARGIN * max(second, 1)
        ):
            out[text] = best
