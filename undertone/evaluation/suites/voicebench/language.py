"""Which language a reply is in, of the thirty that IFEval asks for, by script, letters and small words; nothing is drawn or downloaded.

The official code asks `langdetect`, which draws at random unless it is seeded. Here the script decides first, then letters that one
language alone has, then the share of words that are among the language's commonest. Where the evidence is thin or two languages come out
alike there is no answer, and the instruction is unscored.
"""

import re
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

_SCRIPTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "latin": ("A-Za-zÀ-ɏḀ-ỿ", ""),
        "cyrillic": ("Ѐ-ӿ", ""),
        "arabic": ("؀-ۿݐ-ݿ", ""),
        "devanagari": ("ऀ-ॿ", ""),
        "kana": ("぀-ヿ", "ja"),
        "hangul": ("가-힯ᄀ-ᇿ", "ko"),
        "hebrew": ("֐-׿", "he"),
        "thai": ("฀-๿", "th"),
        "bengali": ("ঀ-৿", "bn"),
        "gurmukhi": ("਀-੿", "pa"),
        "gujarati": ("઀-૿", "gu"),
        "tamil": ("஀-௿", "ta"),
        "telugu": ("ఀ-౿", "te"),
        "kannada": ("ಀ-೿", "kn"),
        "malayalam": ("ഀ-ൿ", "ml"),
        "han": ("一-鿿", ""),
    }
)
"""Script → its letters, and the one language of the thirty that is written in it, if it is one."""

_WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "latin": MappingProxyType(
            {
                "en": "a the of and to in is that it for on with as are this be you was by an or from at not have but your we they can "
                "will my me i do so what how if when there their which has he she his her",
                "de": "der die das und ist nicht ein eine zu den von mit für auf sie ich es im dem des auch als wie bei aus nach wird sind "
                "einen wir hat oder aber durch kann dass ihr sein",
                "fr": "le la les des et est un une du en que qui dans pour pas sur au avec ce il elle nous vous je sont ne plus par mais "
                "ou cette ses aux être comme votre leur très je où se y à sa mon ma",
                "es": "el la los las de y que en un una es por con para no se del al lo como más su pero está son muy también hay fue "
                "este esta ser tiene nos cuando porque usted",
                "pt": "o os a as de e que em um uma é por com para não se do da dos das no na ao como mais seu sua mas está são muito "
                "também há foi este esta ser tem você ele ela pelo pela isso",
                "it": "il lo la gli le di e che in un una è per con non si del della dei delle al alla come più suo sua ma sono molto "
                "anche ha questo questa essere nel nella da hanno perché io",
                "pl": "i w na z do nie się że to jest jak o za od po ale czy dla tak co są przez może być był było tylko jego jej przy "
                "ten ta oraz lub już bardzo",
                "vi": "và là của có không một các cho trong được với này những người đã để khi từ về như tôi bạn cũng nhiều ra đó đến vào "
                "rất hay sẽ phải thì",
                "sw": "na ya wa ni kwa za la katika kuwa hii hiyo kama yake cha pia watu au lakini sana mimi wewe yeye sisi kila ili "
                "baada kabla vya ambayo hapana ndiyo huu",
                "fi": "ja on ei se että oli hän ovat tai kun niin mutta myös joka sen kuin olla mitä tämä voi minä sinä he ne nyt vain "
                "jos sitä ole hyvin sekä ovat",
            }
        ),
        "cyrillic": MappingProxyType(
            {
                "ru": "и в не на что с я он как это по но из у за от о так же для вы мы они его её был была быть есть все или если когда "
                "очень только может",
                "uk": "і в не на що з я він як це по але із у за від про так же для ви ми вони його її був була бути є всі або якщо коли "
                "дуже тільки може та",
                "bg": "и в не на че с аз той как това по но от у за до се така за вие ние те него нея беше бъде е са всички или ако когато "
                "много само може да ще като",
            }
        ),
        "arabic": MappingProxyType(
            {
                "ar": "في من على أن إلى هذا هذه التي الذي عن مع كان لا ما هو هي قد كل أو ثم بعد لم كما إن بين",
                "fa": "در از به که این را با است برای آن یک می های خود تا بر هم شد اما یا نیز شما من ما هر",
                "ur": "کے کی کا ہے میں اور سے کو نے یہ پر کہ ہیں تھا جو بھی ایک لیے نہیں آپ وہ ہو گیا کر تو",
            }
        ),
        "devanagari": MappingProxyType(
            {
                "hi": "है के की का में और से को ने यह पर कि हैं था जो भी एक लिए नहीं आप वह हो कर तो इस मैं",
                "mr": "आहे च्या ची चा मध्ये आणि पासून ला ने हे वर की आहेत होता जे ही एक साठी नाही तुम्ही तो मी या आपण असे",
                "ne": "छ को का मा र बाट लाई ले यो छन् थियो पनि एक लागि होइन तपाईं त्यो गर्न भने हो यस म हुन् गर्दछ छैन",
            }
        ),
    }
)
"""Of scripts that several languages share: language → some of its commonest words."""

_OWN: Mapping[str, str] = MappingProxyType(
    {
        "uk": "їєґі",
        "ru": "ыэё",
        "ur": "ٹڈڑںےہ",
        "fa": "گپچژ",
        "vi": "ơưđạảấầẩẫậắằặẹẻẽếềểễệịọỏốồổộớờởỡợụủứừửữựỳỵỷỹ",
        "pl": "łąęśźż",
        "mr": "ळ",
    }
)
"""Letters that tell a language from the others of its script here; each counts like one of its words. (Persian's are Urdu's too.)"""

_TOKEN = re.compile(r"[^\W\d_]+(?:[\u0900-\u097f]+)?|[\u0900-\u097f]+", re.UNICODE)


def language(text: str) -> str | None:
    """The ISO 639-1 code of the language that `text` is in; "" where it holds no letters, None where that cannot be told."""
    counts = Counter({name: len(re.findall(f"[{letters}]", text)) for name, (letters, _) in _SCRIPTS.items()})
    if counts["kana"] and counts["kana"] + counts["han"] > counts["latin"]:
        return "ja"
    script, most = counts.most_common(1)[0]
    if not most:
        return "" if not any(letter.isalpha() for letter in text) else None
    return _SCRIPTS[script][1] or _by_words(text, script)


def _by_words(text: str, script: str) -> str | None:
    known = _WORDS.get(script)
    if known is None:  # Chinese, which is none of the thirty
        return "zh" if script == "han" else None
    said = [word.casefold() for word in _TOKEN.findall(text)]
    found = {name: sum(word in set(common.split()) for word in said) for name, common in known.items()}
    for name in known:
        found[name] += sum(any(letter in _OWN.get(name, "") for letter in word) for word in said)
    (best, most), (_, second) = Counter(found).most_common(2)
    # A handful of names or loan words is no evidence: one in ten words must be a common one, and more than any other language's.
    return best if most > second and 10 * most >= len(said) else None
