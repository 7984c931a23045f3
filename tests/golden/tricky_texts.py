"""Short texts on which tokenisers are known to disagree.

TRICKY is a list of bytes; tokenizer_ids.py computes the ids. Texts that are
not valid UTF-8, or hold NUL, are stored in the goldens as hexadecimal.
"""

TEXTS = (
    # Nothing, spaces, line ends.
    '', ' ', '  ', '   ', '\t', '\n', '\n\n', '\n\n\n', '\r', '\r\n',
    '\r\n\r\n', ' \n', '\n ', ' \n ', '  \n  ', '\t\n\t', ' \t \n \t ',
    'a', ' a', 'a ', ' a ', '  a', 'a  ', '   a   b    c     ', 'a\nb',
    'a\n b', 'a \nb', 'a\n\nb', 'a \n \n b', 'a\r\nb', 'a\r\n\r\nb', 'a\rb',
    'a\tb', 'a\t\tb', '\ta', 'a\t', 'a \tb', 'x' + ' ' * 33 + 'y', ' ' * 64,
    '\n' * 20, '\t' * 9, 'end with spaces   ', 'end with newline\n',
    'two\n\n  indented', '    def f():\n        return 1\n\n\n    x = 2\n',
    # Other white space; characters that only some classes call white space.
    'a\u00a0b', '\u00a0', '\u00a0\u00a0b', 'a \u00a0 b', 'a\u3000b',
    'a\u3000\u3000b', 'a\u2003b', 'a\u2009b', 'a\u202fb', 'a\u205fb',
    'a\u1680b', 'a\u2028b', 'a\u2029b', 'a\u0085b', 'a\vb', 'a\fb',
    'a\x1cb', 'a\x1d b', 'a\x1eb', 'a\x1fb', 'a\u180eb', 'a\u200bb',
    'a\u200cb', 'a\u200db', 'a\u2060b', '\ufeffa', 'a\ufeffb', 'a\u00adb',
    ' \u2028 \u2029 ', '\u0085\u0085 x', '\u180e\u180e x',
    # Controls.
    '\x00', 'a\x00b', '\x01\x02\x03', 'bell\x07', '\x1b[31mred\x1b[0m',
    'del\x7f', '\x80\x81\x9f', 'a\x0eb', 'back\bspace',
    # Apostrophes.
    "don't", "DON'T", "I'm you're he's we'll they've I'd", "'s", "''s", "'S",
    "'re'RE'Re", "it's", "it'\u017f", "IT'S'", "'tis", "rock'n'roll",
    "o'clock", "'ll'll", "x'llama", "don\u2019t", "d'\u00e9t\u00e9", "'d'd",
    "y'all'd've", "'", "''", "' s", "a'b'c", "1's", "'veal 'mother 'tree",
    # Digits.
    '1', '12', '123', '1234', '12345', '1234567890', ' 1', ' 12', '1 2 3',
    '3.14159', '1,000,000', '-42', '+1 (555) 010-0199', '0xDEADBEEF', '1e-10',
    '2024-05-17T12:34:56Z', 'abc123def456', '\u0661\u0662\u0663\u0664',
    '\u0967\u0968\u0969\u096a', '\uff11\uff12\uff13\uff14', '\u00b2\u00b3',
    'x\u00b2', 'H\u2082O', '\u2160\u2161\u2162\u2163', '\u00bd cup', '\u2460'
    '\u2461', '\u3007\u4e00\u4e8c',
    '\U0001d7d8\U0001d7d9\U0001d7da', '1\u0301',
    '50%', '$5.99', '\u20ac100', 'No.5', '4th', '007',
    # Punctuation.
    '...', '....', '!!!', '?!?!', '--', '---', '==========', '->', '=>',
    '!=', '/*', '*/', '//', '\\n', '\\\\', '""', '"quoted"', ' "quoted"',
    '(a)', ' (a)', '[1]', '{x}', '<div>', '</div>', 'a.b.c', 'a,b', 'a;b',
    'foo_bar', '__init__', '_', 'a-b', '\u2014', '\u2026', '\u201cq\u201d',
    '#!/bin/sh\n', '!\n', '!\r\n', '.\n\nThe', ').\n', ' .\n \n', '...\n\n\n',
    'https://example.org/a?b=c&d=e#f', '#hashtag @user', 'C++', 'C#', '$x',
    # Case.
    'Hello, world!', 'HELLO', 'hELLO', 'camelCase', 'PascalCase', '\u0130I',
    '\u0131i', 'Stra\u00dfe', 'STRA\u1e9eE', '\u01c5', '\u03a3\u03c3\u03c2',
    '\u1e9e\u00df', '\ufb01n', '\u212a\u212b', '\u2126',
    # Composition and marks.
    'caf\u00e9', 'cafe\u0301', '\u00c5\u212bA\u030a', 'e\u0301\u0302\u0323',
    'e\u0323\u0301', '\u0301', ' \u0301', '\u0301a', '\u1112\u1161\u11ab',
    '\ud55c', '\u0344', '\u0958', '\u2adc', '\u1e0b\u0323', 'Z\u0351\u036b'
    '\u0343\u036a\u0302\u0341\u034f', 'na\u00efve r\u00e9sum\u00e9', '\u0f43',
    '\uf900', '\U0002f800', '\u1ebf\u1ec7', 'e\u0302\u0301e\u0323\u0302',
    # Scripts.
    '\u4f60\u597d\uff0c\u4e16\u754c', '\u4f60 \u597d', 'a\u4f60b',
    '\u6771\u4eac\u90fd123', '\u30ab\u30bf\u30ab\u30ca',
    '\uff76\uff9e', '\u304c', '\u304b\u3099', '\uc548\ub155\ud558\uc138\uc694',
    '\u0645\u0631\u062d\u0628\u0627', '\u0627\u064e\u0644\u0652',
    '\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd', '\u0928\u092e\u0938\u094d'
    '\u0924\u0947', '\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35', '\u041f\u0440'
    '\u0438\u0432\u0435\u0442', '\u0439\u0438\u0306', '\u0531\u0582',
    '\u10d0\u1c90', '\u13a0\uab70', '\U00010400\U00010428', '\U00012000',
    '\U00020000\U0002a6d6', '\ue000', '\U000f0000', '\u3400\u9fea',
    # Emoji.
    '\U0001f600', ' \U0001f600', '\U0001f600\U0001f600', 'a\U0001f600b',
    '\u2764\ufe0f', '\U0001f44d\U0001f3fd', '\U0001f468\u200d\U0001f469\u200d'
    '\U0001f467', '\U0001f1eb\U0001f1f7', '\U0001f1eb', '1\ufe0f\u20e3',
    '\U0001f3f4\U000e0067\U000e0062\U000e007f', '\U0001f3f3\ufe0f\u200d'
    '\U0001f308',
    # What looks like a special token.
    '<|im_start|>', '<|im_end|>', '<|endoftext|>', '<|begin_of_text|>',
    '<|eot_id|>', '<s>', '</s>', '<unk>', '[CLS]', '[SEP]', '[MASK]', '[cls]',
    'a<|im_end|>b', ' <|im_end|> ', '<|im_end|><|im_end|>', '<|im_end|',
    '<|im_start|>user\nHi<|im_end|>\n', 'a <s> b', 'a<s>b', '<s><s>', '<<s>>',
    '<tool_call>{}</tool_call>', '[MASK]s', '[ MASK ]', '<0x0A>', '<0x41>',
    '\u2581', '\u2581a', 'a\u2581b', '\u2581\u2581', '\u0120', '\u0120the',
    '\u010a', '##a', '## a', '[UNK]', 'x[SEP]y', '<|im_start|>\u0301',
    # Merges, long words.
    'aaaaaaaaaaaaaaaa', 'abababababababab', 'hahahahaha', 'the theThe THE',
    'internationalisation', 'x' * 100, 'y' * 101, 'z' * 300, 'unbelievable',
    'antidisestablishmentarianism', '\u00e9' * 40, '\u4f60' * 20, '=' * 80,
    'serendipity', ' serendipity', 'serendipitous', ' quixotic', 'xyzzyplugh',
    ' \U0001f9ff\U0001f9ff', 'Supercalifragilistic',
)

BYTES = (
    b'\x80', b'\xff', b'a\xffb', b'\xc3', b'\xc3(', b'\xc0\xaf', b'\xe2\x82',
    b'\xe2\x82 ', b'\xe2\x82\xac\xe2\x82', b'\xed\xa0\x80', b'\xf0\x9f\x98',
    b'\xf0\x9f\x98\x80\xf0\x9f', b'\xf4\x90\x80\x80', b'\xf5\x80\x80\x80',
    b'\xf8\x88\x80\x80\x80', b'\xe0\x80\xaf', b'\xfe\xfe\xff\xff', b' \x80 ',
    b'\x80\n\x80', b"don\xe2\x80't", b'\xef\xbf\xbd', b'<s\xff>', b'1\x802',
)

TRICKY = [text.encode('utf-8') for text in TEXTS] + list(BYTES)
