"""Make the texts that the tokeniser goldens are computed on.

    python mixed_text.py OUT_DIR

writes OUT_DIR/mixed.txt (about 200 KB, valid UTF-8) and OUT_DIR/broken.bin
(about 20 KB, UTF-8 with many kinds of damage). Both come from a fixed seed
and an own generator (SplitMix64), so every Python 3 writes the same bytes.

A line is everything up to and including LF; both files end with LF. CR,
CR LF and the Unicode line separators occur inside lines and do not end one.
NUL does not occur. Only characters assigned in Unicode 12 or before are used.

The check text of more than 1 MB is not stored. It is made from the N lines of
mixed.txt: repetition k = 0..5 is the same N lines rotated by 97 k, that is,
its line i is line (i + 97 k) mod N of mixed.txt; the six repetitions follow
each other. See long_lines().
"""

import argparse
import pathlib

REPEATS = 6
ROTATION = 97
BLOCK_LINES = 64

WORDS = """
the of and to in a is that it was for on with as his they be at one have this
from or had by hot but some what there we can out other were all your when up
use word how said an each she which do their time if will way about many then
them would write like so these her long make thing see him two has look more
day could go come did my sound no most number who over know water than call
first people may down side been now find any new work part take get place made
live where after back little only round man year came show every good me give
our under name very through just form much great think say help low line
before turn cause same mean differ move right boy old too does tell sentence
set three want air well also play small end put home read hand port large
spell add even land here must big high such follow act why ask men change went
light kind off need house picture try us again animal point mother world near
build self earth father head stand own page should country found answer school
grow study still learn plant cover food sun four thought let keep eye never
last door between city tree cross since hard start might story saw far sea
draw left late run while press close night real life few stop open seem
together next white children begin got walk example ease paper often always
music those both mark book letter until mile river car feet care second group
carry took rain eat room friend began idea fish mountain north once base hear
horse cut sure watch colour face wood main matrix tensor gradient eigenvalue
linear orthogonal factorisation approximation convergence randomised kernel
attention embedding quantisation perplexity tokeniser vocabulary unbelievable
antidisestablishmentarianism counterrevolutionary internationalisation
chrysanthemum bureaucracy rhythm queue knowledge psychology xylophone yacht
naive cafe resume facade jalapeno doppelganger Schadenfreude Zeitgeist
Reykjavik Timbuktu Mississippi Massachusetts Connecticut Edinburgh Worcester
Alice Bob Einstein Noether Lovelace Turing Hopper Ramanujan Kovalevskaya
""".split()

CONTRACTIONS = """
don't I'm you're he's we'll they've I'd it's can't won't shouldn't've y'all
o'clock rock'n'roll 'tis 'twas James' DON'T I'M YOU'RE HE'S WE'LL THEY'VE I'D
Don’t it’s we’ll ain't couldn't ma'am who'd there'll
""".split()

SYLLABLES = """
ba be bi bo bu ca ce ci co cu da de di do du fa fe fi ga ge gi go ha he hi ho
ja je ka ke ki ko la le li lo lu ma me mi mo mu na ne ni no nu pa pe pi po qua
ra re ri ro ru sa se si so su ta te ti to tu va ve vi vo wa we wi xa ya yo za
ing tion ment ness able ism str thr spl ght ck sh th ph st nd rk lm
""".split()

PHRASES = {
    'french': 'Ça dépend : l’été, où êtes-vous allés ? À Noël, près du cœur '
              'de l’île, un garçon naïf mangeait des bœufs grillés.',
    'german': 'Fußgänger grüßen gewöhnlich übermäßig höflich; '
              'Donaudampfschifffahrtsgesellschaft, GROẞ und Öl.',
    'spanish': '¿Dónde está el niño? ¡Mañana, señor! La pingüina comió uvas.',
    'polish': 'Zażółć gęślą jaźń, pchnąć w tę łódź jeża lub ośm skrzyń fig.',
    'turkish': 'İstanbul’da ılık bir akşam; ığdır, DİYARBAKIR ve şeker.',
    'vietnamese': 'Tiếng Việt có nhiều dấu: người Việt Nam ăn phở buổi sáng.',
    'icelandic': 'Þórður á Ísafirði æfði sig í að lesa ævintýri.',
    'russian': 'Съешь же ещё этих мягких французских булок, да выпей чаю.',
    'ukrainian': 'Їжак із ґанку з’їв вареники, а єнот — борщ.',
    'greek': 'Ξεσκεπάζω την ψυχοφθόρα βδελυγμία· ΟΔΥΣΣΕΥΣ, σοφός.',
    'polytonic': 'μῆνιν ἄειδε θεὰ Πηληϊάδεω Ἀχιλῆος οὐλομένην',
    'armenian': 'Բոլոր մարդիկ ծնվում են ազատ ու հավասար։',
    'georgian': 'ყველა ადამიანი იბადება თავისუფალი. ႠႡႢ ⴀⴁⴂ ᲐᲑᲒ',
    'hebrew': 'כל בני האדם נולדו בני חורין ושווים; שָׁלוֹם עוֹלָם.',
    'arabic': 'يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق، ١٢٣٤.',
    'persian': 'همهٔ انسان‌ها آزاد به دنیا می‌آیند؛ ۱۴۰۲.',
    'hindi': 'सभी मनुष्यों को गौरव और अधिकारों में स्वतन्त्रता मिली है। १२३',
    'bengali': 'সমস্ত মানুষ স্বাধীনভাবে জন্মগ্রহণ করে। ১২৩',
    'tamil': 'மனிதப் பிறவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்.',
    'telugu': 'ప్రతిపత్తిస్వత్వముల విషయమున మానవులెల్లరును సమానులు.',
    'thai': 'มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกัน ๑๒๓',
    'lao': 'ມະນຸດທຸກຄົນເກີດມາມີກຽດສັກສີ',
    'khmer': 'មនុស្សទាំងអស់កើតមកមានសេរីភាព',
    'burmese': 'လူတိုင်းသည် တူညီ လွတ်လပ်သော ဂုဏ်သိက္ခာ',
    'amharic': 'የሰው ልጅ ሁሉ ሲወለድ ነጻና በክብርና በመብትም እኩልነት ያለው ነው።',
    'cherokee': 'ᏂᎦᏓ ᎠᏂᏴᏫ ᏂᎨᎫᏓᎸᎾ ꭰꭱꭲ',
    'chinese': '人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。',
    'traditional': '繁體中文測試：龍、龜、鬱、臺灣。「你好嗎？」她問道。',
    'japanese': 'すべての人間は、生まれながらにして自由であり、ｶﾀｶﾅとカタカナ、東京都〒１２３。',
    'korean': '모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.',
    'jamo': '\u1112\u1161\u11ab\u1100\u1173\u11af',
}

CODE = (
    'for (size_t i = 0; i < n; ++i) { y[i] += a * x[i]; }',
    '\tif (!p || p->len >= LN_MAX) return -1; /* never */',
    'static const uint64_t K = 0x9E3779B97F4A7C15ULL;',
    '#define MIN(a, b) ((a) < (b) ? (a) : (b))',
    'def forward(self, x: "Tensor") -> "Tensor":  # noqa: E501',
    '        return self.w2(F.silu(self.w1(x)) * self.w3(x))',
    "print(f'{name!r:>20} = {value:.3e}', end='\\n')",
    '{"model": "tiny", "layers": [1, 2, 3], "eps": 1e-05, "ok": true}',
    '<a href="https://example.org/?q=a%20b&amp;lang=en#top">link</a>',
    'SELECT COUNT(*) FROM t WHERE a <> b AND c LIKE \'%x_\\%\';',
    'git commit -m "fix: off-by-one" && ./configure --prefix=/usr/local',
    "let v: Vec<_> = xs.iter().map(|x| x * 2).collect::<Vec<i32>>();",
    'x := map[string]interface{}{"a": []byte("b")}',
    '$ sed -E \'s/^([^=]+)=(.*)$/\\1: "\\2"/\' < in.txt | sort -u > out.txt',
    'std::unique_ptr<Foo[]> p = std::make_unique<Foo[]>(10);',
    '\\begin{align} \\nabla \\cdot \\mathbf{E} &= \\rho / \\varepsilon_0',
    'user@example.com; C:\\Users\\x\\AppData; /usr/lib/x86_64-linux-gnu',
    '-----BEGIN-----  ====  ****  ////  ####  ....  ----  ____  ~~~~',
    '!!! ??? ... ;;; ::: ,,, ((( ))) [[[ ]]] {{{ }}} <<< >>> &&& ||| ^^^',
    'camelCaseIdentifier PascalCase snake_case_name SCREAMING_SNAKE kebab-a',
)

EMOJI = (
    '😀', '😂', '🤣', '❤', '❤️', '👍', '👍🏻', '👍🏼', '👍🏽', '👍🏾',
    '👍🏿',
    '👩‍🚀', '👨‍👩‍👧‍👦', '👩🏾‍💻', '🏳️‍🌈', '🏴‍☠️', '👁️‍🗨️',
    '🧑🏻‍🤝‍🧑🏿', '💁🏽‍♂️', '🤷‍♀️', '🇫🇷', '🇯🇵', '🇧🇷', '🇺🇳', '🇮🇳🇿🇦',
    '\U0001F3F4\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F',
    '1️⃣', '#️⃣', '*️⃣', '©️', '™', '☺', '☺︎', '☺️', '⌚', '♻️', '🎉',
    '🔥', '🧿', '🦄', '🥶', '🧠', '🀄', '🃏', '🅰️', '🈚', '㊗️', '🕉️', '✂️', '➡️', '〰️',
)

SPACES = (
    ' ', '  ', '   ', '    ', '        ', '\t', '\t\t', ' \t', '\t ', '\u00a0',
    '\u1680', '\u2000', '\u2002', '\u2003', '\u2009', '\u200a', '\u2028',
    '\u2029', '\u202f', '\u205f', '\u3000', '\u0085', '\v', '\f', '\r',
    '\r\r', ' \r', '\u200b', '\u200c', '\u200d', '\u2060', '\ufeff', '\u180e',
    '\u00ad', '\u3000\u3000', '\u00a0 ', ' \u00a0', ' ' * 17, ' ' * 40,
)

SPECIALS = (
    '<|im_start|>', '<|im_end|>', '<|endoftext|>', '<|begin_of_text|>',
    '<|end_of_text|>', '<|eot_id|>', '<|start_header_id|>', '<s>', '</s>',
    '<unk>', '<pad>', '[CLS]', '[SEP]', '[MASK]', '[PAD]', '[UNK]',
    '<tool_call>', '</tool_call>', '<repo_name>', '<file_sep>', '<0x0A>',
    '<0xFF>', '<|im_start', '|im_end|>', '< |im_start|>', '<|IM_START|>',
    '<|im_start|>user', 'a<|im_end|>b', '<|im_start|><|im_end|>', '[cls]',
    '</S>', '<s', '<<s>>', '[[SEP]]', '▁', '▁▁the', 'Ġ', 'Ġthe', 'Ċ', '##ing',
)

DIGITS = (
    '0123456789', '٠١٢٣٤٥٦٧٨٩', '۰۱۲۳۴۵۶۷۸۹', '०१२३४५६७८९', '๐๑๒๓๔๕๖๗๘๙',
    '０１２３４５６７８９', '²³¹⁰⁴⁵⁶⁷⁸⁹', '₀₁₂₃₄₅₆₇₈₉', '①②③④⑤⑥⑦⑧⑨⑩',
    'ⅠⅡⅢⅣⅤⅵⅶⅷⅸⅹ', '½⅓¼⅕⅙⅐⅛⅑⅒⅔', '〇一二三四五六七八九', '𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗',
)

MARKS = tuple(range(0x300, 0x315)) + tuple(range(0x316, 0x334)) + (
    0x338, 0x340, 0x341, 0x342, 0x345, 0x34f, 0x35c, 0x360, 0x483, 0x591,
    0x5b0, 0x5c1, 0x64b, 0x651, 0x653, 0x93c, 0x94d, 0xe38, 0xf71, 0x1ab0,
    0x1dc0, 0x20d0, 0x20dd, 0x3099, 0x309a, 0xfe20, 0x1d165)

# First and last of ranges in which every code point was assigned long ago.
RANGES = (
    (0x21, 0x7e), (0xa1, 0xac), (0xae, 0xff), (0x100, 0x17f), (0x180, 0x24f),
    (0x250, 0x2af), (0x2b0, 0x2ff), (0x391, 0x3a1), (0x3a3, 0x3ff),
    (0x400, 0x482), (0x48a, 0x52f), (0x531, 0x556), (0x5d0, 0x5ea),
    (0x620, 0x64a), (0x66e, 0x6d3), (0x904, 0x939), (0x995, 0x9a8),
    (0xe01, 0xe30), (0x10d0, 0x10fa), (0x1100, 0x11ff), (0x1200, 0x1248),
    (0x13a0, 0x13f5), (0x1401, 0x166c), (0x1e00, 0x1eff), (0x1f20, 0x1f45),
    (0x2010, 0x2027), (0x2030, 0x205e), (0x20a0, 0x20bf), (0x2100, 0x218b),
    (0x2190, 0x2426), (0x2440, 0x244a), (0x2460, 0x24ff), (0x2500, 0x27bf),
    (0x2800, 0x28ff), (0x2900, 0x2aff), (0x2e80, 0x2e99), (0x2f00, 0x2fd5),
    (0x3001, 0x303f), (0x3041, 0x3096), (0x3099, 0x30ff), (0x3105, 0x312f),
    (0x3131, 0x318e), (0x3200, 0x321e), (0x3220, 0x32fe), (0x3300, 0x33ff),
    (0x3400, 0x4db5), (0x4e00, 0x9fea), (0xa000, 0xa48c), (0xac00, 0xd7a3),
    (0xf900, 0xfa6d), (0xfb00, 0xfb06), (0xfb50, 0xfbb1), (0xfe30, 0xfe52),
    (0xff01, 0xffbe), (0xe000, 0xe0ff), (0x10000, 0x1000b), (0x10330, 0x1034a),
    (0x12000, 0x12399), (0x13000, 0x1342e), (0x1d400, 0x1d454),
    (0x1d538, 0x1d539), (0x1f300, 0x1f5ff), (0x1f600, 0x1f64f),
    (0x1f680, 0x1f6c5), (0x1f910, 0x1f93e), (0x20000, 0x2a6d6),
    (0x2f800, 0x2fa1d), (0xf0000, 0xf00ff))

BROKEN = (
    b'\x80', b'\xbf', b'\x80\x80\x80', b'\xc0\xaf', b'\xc1\xbf', b'\xc2',
    b'\xc3(', b'\xe0\x80\xaf', b'\xe0\x9f\xbf', b'\xe2\x82', b'\xe2\x28\xa1',
    b'\xe2\x82\x28', b'\xed\xa0\x80', b'\xed\xbf\xbf', b'\xed\xa0\xbd\xed\xb8'
    b'\x80', b'\xf0\x9f\x98', b'\xf0\x9f', b'\xf0', b'\xf0\x80\x80\xaf',
    b'\xf0\x28\x8c\xbc', b'\xf0\x90\x28\xbc', b'\xf4\x90\x80\x80', b'\xf5'
    b'\x80\x80\x80', b'\xf8\x88\x80\x80\x80', b'\xfc\x84\x80\x80\x80\x80',
    b'\xfe', b'\xff', b'\xfe\xff', b'\xff\xfe', b'\xef\xbf\xbd', b'\xef\xbb',
    b'\xef\xbb\xbf', b'\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41', b'\xc3\xa9\xc3',
)


class Rng:
    """SplitMix64, the same everywhere."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & mask
        return z ^ (z >> 31)

    def below(self, n):
        return (self.next() >> 33) % n

    def pick(self, items):
        return items[self.below(len(items))]

    def one_in(self, n):
        return self.below(n) == 0


def word(rng):
    kind = rng.below(12)
    if kind == 0:
        text = ''.join(rng.pick(SYLLABLES) for _ in range(2 + rng.below(4)))
    elif kind == 1:
        text = rng.pick(CONTRACTIONS)
    else:
        text = rng.pick(WORDS) + rng.pick(('', '', '', '', 's', 'ed', 'ing',
                                           'ly', "'s", 'ness', '-like'))
    if rng.one_in(12):
        text = text[:1].upper() + text[1:]
    elif rng.one_in(40):
        text = text.upper()
    return text


def prose(rng):
    words = [word(rng) for _ in range(4 + rng.below(12))]
    words[0] = words[0][:1].upper() + words[0][1:]
    text = words[0]
    for item in words[1:]:
        text += rng.pick((' ', ' ', ' ', ' ', ' ', ' ', ', ', '; ', ' — ',
                          ' “', '” ', ' (', ') ', ': ', '-', '…', '  '))
        text += item
    return text + rng.pick(('.', '.', '.', '!', '?', '...', '?!', '."', ''))


def foreign(rng):
    text = PHRASES[rng.pick(sorted(PHRASES))]
    parts = text.split(' ')
    start = rng.below(len(parts))
    text = ' '.join(parts[start:] + parts[:start])
    if len(parts) == 1:
        cut = rng.below(len(text))
        text = text[cut:] + text[:cut]
    return text + rng.pick(('', ' ', ' ' + word(rng), rng.pick(EMOJI)))


def code(rng):
    text = rng.pick(CODE)
    indent = rng.pick(('', '', '    ', '        ', '\t', '\t\t', '  '))
    return indent + text.replace('x', rng.pick(('x', 'xs', word(rng))), 1)


def number(rng):
    def run(n):
        digits = rng.pick(DIGITS) if rng.one_in(3) else DIGITS[0]
        return ''.join(rng.pick(digits) for _ in range(n))
    parts = []
    for _ in range(2 + rng.below(5)):
        parts.append(rng.pick((
            run(1 + rng.below(12)), run(1) + '.' + run(3),
            '$' + run(4) + '.99', run(4) + '-' + run(2) + '-' + run(2),
            '-' + run(2) + '%', run(1) + ',' + run(3) + ',' + run(3),
            '0x' + run(4), run(2) + 'th',
            '+' + run(2) + ' ' + run(3) + ' ' + run(4), 'v' + run(1) + '.' +
            run(2), run(1) + 'e-' + run(2), '€' + run(3), word(rng) + run(2),
            run(3) + word(rng), 'H' + run(1) + 'O', run(2) + ':' + run(2))))
    return rng.pick((' ', ' ', ', ', '\t', '')).join(parts)


def emoji(rng):
    text = ''
    for _ in range(1 + rng.below(9)):
        text += rng.pick(EMOJI) + rng.pick(('', '', ' ', ' ' + word(rng)))
    return text


def marks(rng):
    text = ''
    for char in prose(rng)[:4 + rng.below(24)]:
        text += char
        while rng.one_in(3):
            text += chr(rng.pick(MARKS))
    return text


def control(rng):
    text = ''
    for _ in range(3 + rng.below(6)):
        text += rng.pick((word(rng), ' ' + word(rng), ' '))
        char = 1 + rng.below(41)
        char = char if char < 32 else 0x7f + char - 32
        text += chr(char) if char != 10 else '\r'
    return text


def spaces(rng):
    text = rng.pick(SPACES) if rng.one_in(2) else ''
    for _ in range(1 + rng.below(7)):
        text += word(rng) + rng.pick(SPACES)
        while rng.one_in(3):
            text += rng.pick(SPACES)
    return text


def specials(rng):
    text = ''
    for _ in range(1 + rng.below(5)):
        text += rng.pick(('', ' ', word(rng), word(rng) + ' ', '  '))
        text += rng.pick(SPECIALS)
    return text + rng.pick(('', ' ', word(rng), ' ' + word(rng)))


def points(rng):
    text = ''
    for _ in range(3 + rng.below(14)):
        first, last = rng.pick(RANGES)
        for _ in range(1 + rng.below(2)):
            text += chr(first + rng.below(last - first + 1))
        if rng.one_in(4):
            text += ' '
    return text


def repeats(rng):
    unit = rng.pick((rng.pick(WORDS)[:1], rng.pick(SYLLABLES), '=', '-', '.',
                     'ha', '!', rng.pick(EMOJI), '字', '9', ' a', '\u0301'))
    return unit * (2 + rng.below(24)) + rng.pick(('', ' ', word(rng)))


def blank(rng):
    return rng.pick(('', '', '', ' ', '  ', '\t', '\u3000', '    '))


MAKERS = (prose,) * 10 + (foreign,) * 5 + (code,) * 4 + (number,) * 3 + (
    emoji,) * 2 + (spaces,) * 2 + (points,) * 4 + (
    marks, control, specials, repeats, blank)


def mixed_text(size=200_000, seed=20240517):
    """Return about `size` bytes of valid UTF-8 of many kinds."""
    rng = Rng(seed)
    lines = []
    done = 0
    while done < size:
        line = rng.pick(MAKERS)(rng) + rng.pick(('\n',) * 15 + ('\r\n',))
        lines.append(line.encode('utf-8'))
        done += len(lines[-1])
    return b''.join(lines)


def broken_text(size=20_000, seed=77):
    """Return about `size` bytes of damaged UTF-8."""
    rng = Rng(seed)
    lines = []
    done = 0
    while done < size:
        line = bytearray(rng.pick(MAKERS)(rng).encode('utf-8'))
        for _ in range(rng.below(6)):
            at = rng.below(len(line) + 1)
            if rng.one_in(3) and at < len(line):
                line[at] = 128 + rng.below(128)
            elif rng.one_in(3):
                del line[at:at + 1]
            else:
                line[at:at] = rng.pick(BROKEN)
        lines.append(bytes(line).replace(b'\n', b'') + b'\n')
        done += len(lines[-1])
    return b''.join(lines)


def long_lines(data):
    """Return the lines (bytes, with LF) of the check text of over 1 MB."""
    lines = [part + b'\n' for part in data.split(b'\n')[:-1]]
    count = len(lines)
    return [lines[(i + ROTATION * k) % count]
            for k in range(REPEATS) for i in range(count)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('out_dir', type=pathlib.Path)
    args = parser.parse_args()
    (args.out_dir / 'mixed.txt').write_bytes(mixed_text())
    (args.out_dir / 'broken.bin').write_bytes(broken_text())


if __name__ == '__main__':
    main()
