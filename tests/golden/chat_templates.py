"""Make chat_templates.json with the template engine of Hugging Face transformers (jinja2).

    pip install transformers jinja2
    python chat_templates.py > chat_templates.json

A list of {"name", "template", "context", "expected"}; where the template
refuses or fails, "fails" stands in place of "expected". The templates follow
the formats of the model families (ChatML, Llama-2, Llama-3, Mistral, Qwen2,
Gemma, Zephyr, Phi-3, DeepSeek) or exercise one construct each. The template
of SmolLM2 itself comes from its GGUF; what it gives is listed under
"smollm2" with the template left out.
"""

import argparse
import json

from transformers.utils.chat_template_utils import _compile_jinja_template

SYSTEM = {'role': 'system', 'content': 'You are terse.'}
USER = {'role': 'user', 'content': '  Hi there!\nHow are "you"? '}
REPLY = {'role': 'assistant', 'content': 'Fine – danke. 🙂 '}
AGAIN = {'role': 'user', 'content': "Tell me about 'naïve' <b>HTML</b>."}
TALKS = {
    'one': [USER],
    'system': [SYSTEM, USER],
    'long': [USER, REPLY, AGAIN],
    'all': [SYSTEM, USER, REPLY, AGAIN, REPLY],
    'odd': [USER, AGAIN],
    'none': [],
}

CHATML = """\
{% for message in messages %}
{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' }}
{% endif %}
"""

LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}"
    "{% set rest = messages[1:] %}{% set system = messages[0]['content'] %}"
    "{% else %}{% set rest = messages %}{% set system = false %}{% endif %}"
    "{% for message in rest %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate user/assistant/user/assistant/...') }}"
    "{% endif %}"
    "{% if loop.index0 == 0 and system != false %}"
    "{% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}"
    "{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}")

MISTRAL = """\
{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}

{#- Roles alternate, calls of tools aside. #}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, roles must alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}

{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- else %}
                    {{- "]" }}
                {%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported") }}
    {%- endif %}
{%- endfor %}
"""

QWEN2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")

QWEN25 = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are helpful.' }}
    {%- endif %}
    {{- "\\n\\n# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- message.content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

QWEN3 = """\
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index and (loop.last or (not loop.last and reasoning_content)) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""

LLAMA3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}")

LLAMA31 = """\
{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined and false %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools_in_user_message is defined %}
    {%- set tools_in_user_message = true %}
{%- endif %}
{#- The system message is taken out, so that it can be put first. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("Only single tool-calls at once") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '{"name": "' + tool_call.name + '", ' + '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}"
    "{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}")

ZEPHYR = """\
{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>
'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""

PHI3 = (
    "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}"
    "{{'<|system|>\\n' + message['content'] + '<|end|>\\n'}}{% elif message['role'] == 'user' %}"
    "{{'<|user|>\\n' + message['content'] + '<|end|>\\n'}}{% elif message['role'] == 'assistant' %}"
    "{{'<|assistant|>\\n' + message['content'] + '<|end|>\\n'}}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}")

DEEPSEEK = (
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}"
    "{% set ns = namespace(is_first=false, is_tool=false, system_prompt='', is_first_sp=true) %}"
    "{%- for message in messages %}{%- if message['role'] == 'system' %}"
    "{% if ns.is_first_sp %}{% set ns.system_prompt = ns.system_prompt + message['content'] %}"
    "{% set ns.is_first_sp = false %}{% else %}"
    "{% set ns.system_prompt = ns.system_prompt + '\\n\\n' + message['content'] %}{% endif %}"
    "{%- endif %}{%- endfor %}{{bos_token}}{{ns.system_prompt}}"
    "{%- for message in messages %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}"
    "{{'<|User|>' + message['content']}}{%- endif %}"
    "{%- if message['role'] == 'assistant' and message['content'] is not none %}"
    "{% set content = message['content'] %}{% if '</think>' in content %}"
    "{% set content = content.split('</think>')[-1] %}{% endif %}"
    "{{'<|Assistant|>' + content + eos_token}}{%- endif %}{%- endfor -%}"
    "{% if add_generation_prompt and not ns.is_tool %}{{'<|Assistant|><think>\\n'}}{% endif %}")

MODELS = {'chatml': CHATML, 'llama2': LLAMA2, 'mistral': MISTRAL, 'qwen2': QWEN2, 'qwen2.5': QWEN25,
          'qwen3': QWEN3, 'llama3': LLAMA3, 'llama3.1': LLAMA31, 'gemma': GEMMA, 'zephyr': ZEPHYR,
          'phi3': PHI3, 'deepseek': DEEPSEEK}

TOOL = {'type': 'function', 'function': {
    'name': 'get_weather', 'description': 'Weather "now"',
    'parameters': {'type': 'object', 'properties': {'city': {'type': 'string'}, 'days': {'type': 'integer', 'default': 3}},
                   'required': ['city'], 'nested': [1, 2.5, True, None, {}, []]}}}
CALL = {'role': 'assistant', 'content': '', 'tool_calls': [
    {'function': {'name': 'get_weather', 'arguments': {'city': 'Köln', 'days': 2}}}]}
RESULT = {'role': 'tool', 'content': '{"sun": true}'}

DATA = {'x': 'Hello World', 'empty': '', 'n': 7, 'f': 2.5, 'yes': True, 'nothing': None, 'l': [3, 1, 2],
        'words': ['a', 'b c', "it's"], 'd': {'k': 'v', 'items': 5, 'z': [1, 'x', None, True, 1.0]},
        'people': [{'name': 'ann', 'age': 3}, {'name': 'bob', 'age': 5}, {'name': 'cyd'}], 'u': 'ÄÖß naïve 日本'}

CONSTRUCTS = [
    # white space
    "a\n  {% if yes %}\n  b\n  {% endif %}\nc\n", "a {% if yes %} b {% endif %} c", "  {%- if yes -%}  b  {%- endif -%}  c",
    "x\n\n  {# note #}\n\ny", "x {#- note -#} y", "{{ x }}\n{{ n }}\n\n", "a\n\t{%+ if yes %}b{% endif +%}\nc", "{{- x -}}  \n y",
    "\n\n{% set a = 1 %}\n\n{{ a }}\n", "line\r\nnext\r{{ x }}\r\n", "{% for i in l %}\n- {{ i }}\n{% endfor %}", "{{ '{%' }}{{ '}}' }}",
    "  {{ x }}  {% if yes %}{% endif %}  \n z", "{% if yes %}\n\n\nA{% endif %}", "{#- a -#}\n{#- b #}\n{{x}}", "{% if true %}  {% endif %}\n!",
    # printing
    "{{ yes }} {{ nothing }} {{ f }} {{ n }} {{ missing }}|", "{{ l }} {{ words }} {{ d }}", "{{ 1.0 }} {{ 1e5 is defined }}",
    "{{ 10 / 4 }} {{ 10 // 4 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 10 }} {{ 7 % 2.5 }} {{ 1 / 3 }}", "{{ (1, 'a') }} {{ (1,) }} {{ () }}",
    "{{ 1000000.0 }} {{ 12345678901234567.0 }} {{ 0.1 + 0.2 }} {{ 0.00001 }} {{ 100000.0 * 1000000 }}",
    # operators
    "{{ 'a' + 'b' ~ 1 ~ none }}", "{{ 'ab' * 3 }} {{ 2 * 'xy' }} {{ [1] + [2] }}", "{{ 1 < 2 < 3 }} {{ 3 > 2 >= 3 }} {{ 'a' < 'b' }}",
    "{{ 'ell' in x }} {{ 9 not in l }} {{ 'k' in d }} {{ 3 in l }}", "{{ not yes or n == 7 and f != 2 }}", "{{ 'A' if n > 5 else 'B' }}{{ 'C' if empty }}|",
    "{{ yes == 1 }} {{ 1 == 1.0 }} {{ l == [3, 1, 2] }} {{ none == nothing }} {{ 'a' == 1 }}", "{{ -n }} {{ +f }} {{ - 2 ** 2 }}",
    "{{ empty or x }} {{ l and 'full' }} {{ missing or 'no' }}", "{{ 1 + 2 * 3 - 4 }} {{ (1 + 2) * 3 }} {{ 'a' ~ 1 + 2 }}",
    "{{ (n if n is odd else 0) + 1 }}", "{{ n + 0.5 }} {{ yes + 1 }}",
    # access
    "{{ d.k }} {{ d['k'] }} {{ d.missing }} {{ d['items'] }} {{ d.z[-1] }} {{ l[0] }} {{ l[-1] }} {{ l[9] }}|",
    "{{ l[1:] }} {{ l[:2] }} {{ l[::-1] }} {{ l[-2:] }} {{ x[1:4] }} {{ x[-3:] }} {{ u[:2] }} {{ u[-2:] }} {{ x[::2] }} {{ l[5:] }} {{ l[2:0:-1] }}",
    "{{ x[0] }} {{ u[1] }} {{ people[1].name }} {{ people[2].age is defined }}", "{{ {'a': 1, 'b': [1, 2]}['b'][1] }}",
    "{{ d.get('k') }} {{ d.get('q') }} {{ d.get('q', 'fallback') }}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k in d.keys() %}{{ k }},{% endfor %}{% for v in d.values() %}{{ v }},{% endfor %}{% for k in d %}{{ k }}{% endfor %}",
    # loops
    "{% for i in l %}{{ loop.index }}/{{ loop.length }}:{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }} {% endfor %}",
    "{% for i in [] %}x{% else %}none{% endfor %}", "{% for i in l if i > 1 %}{{ loop.index }}{{ i }}{% endfor %}", "{% for i in range(3) %}{{ i }}{% endfor %}",
    "{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}", "{% for i in l %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in range(9) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}", "{% for a, b in [[1, 2], (3, 4)] %}{{ a + b }},{% endfor %}",
    "{% for i in l %}{{ loop.previtem }}>{{ i }}>{{ loop.nextitem }} {% endfor %}", "{% for c in 'añb' %}[{{ c }}]{% endfor %}", "{% for i in missing %}x{% endfor %}!",
    "{% for i in l %}{% for j in l %}{{ loop.index }}{% if loop.last %}/{% endif %}{% endfor %}{{ loop.index }};{% endfor %}",
    "{% for i in range(20) %}{% for j in range(20) %}{% if j > i %}{% break %}{% endif %}{% if (i + j) % 5 %}{% continue %}{% endif %}{{ i }}.{{ j }} {% endfor %}{% endfor %}",
    # scopes
    "{% set a = 1 %}{% for i in l %}{% set a = i %}{{ a }}{% endfor %}{{ a }}", "{% set ns = namespace(a=0) %}{% for i in l %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}",
    "{% if yes %}{% set a = 5 %}{% endif %}{{ a }}", "{% set a %}x{{ n }}y{% endset %}[{{ a }}]", "{% for i in l %}{% set x = 'in' %}{% endfor %}{{ x }}",
    "{% set items = [1] %}{% for i in items %}{{ i }}{% endfor %}{{ i }}",
    # macros
    "{% macro m(a, b='B') %}<{{ a }}{{ b }}>{% endmacro %}{{ m(1) }}{{ m('x', b=2) }}{{ m(b=1, a=2) }}",
    "{% macro m(a) %}{% if a > 0 %}{{ a }}{{ m(a - 1) }}{% endif %}{% endmacro %}{{ m(4) }}", "{% set q = 'g' %}{% macro m() %}{{ q }}{% endmacro %}{% for q in l %}{{ m() }}{% endfor %}",
    "{% macro m(a) -%}\n  {{ a }}\n{%- endmacro %}[{{ m('z') }}]{{ m('y')|upper }}",
    # filters
    "{{ '  a b '|trim }}|{{ 'xxaxx'|trim('x') }}|{{ x|upper }}|{{ x|lower }}|{{ 'hello wORLD it'|title }}|{{ 'aBC dE'|capitalize }}",
    "{{ u|upper }}|{{ u|lower }}", "{{ l|length }}{{ x|length }}{{ d|length }}{{ u|count }}", "{{ l|first }}{{ l|last }}{{ words|join(', ') }}{{ l|join }}",
    "{{ people|map(attribute='name')|join('+') }}", "{{ words|map('upper')|list }}", "{{ people|selectattr('age')|map(attribute='age')|list }}",
    "{{ people|selectattr('name', 'equalto', 'bob')|list }}", "{{ people|rejectattr('age', 'defined')|list }}", "{{ l|select('gt', 1)|list }}{{ l|reject('odd')|list }}",
    "{{ missing|default('q') }}{{ empty|default('q') }}{{ empty|default('q', true) }}{{ nothing|default('q', boolean=true) }}{{ missing|d(3) }}",
    "{{ x|replace('l', 'L') }}{{ 'aaa'|replace('a', 'b', 2) }}", "{{ l|reverse|list }}{{ 'abc'|list }}{{ 12|string + 'x' }}", "{{ '42'|int + 1 }}{{ 'q'|int(5) }}{{ 3.9|int }}",
    "{{ d|tojson }}", "{{ d|tojson(indent=2) }}", "{{ words|tojson }}{{ u|tojson }}{{ '\"\\\\\\n\\t/<>&'|tojson }}{{ nothing|tojson }}{{ [1.5, 2.0]|tojson }}",
    "{{ d|items|list }}", "{{ 'a\nb\n\nc'|indent(2) }}|{{ 'a\nb'|indent(3, true) }}|{{ 'a\nb\n'|indent }}|", "{{ x|safe }}", "{{ 5|string|length }}",
    # tests
    "{{ x is defined }}{{ missing is defined }}{{ missing is undefined }}{{ nothing is none }}{{ x is string }}{{ n is number }}{{ f is float }}{{ n is integer }}",
    "{{ yes is boolean }}{{ yes is true }}{{ yes is false }}{{ d is mapping }}{{ l is iterable }}{{ x is sequence }}{{ n is iterable }}{{ yes is number }}{{ yes is integer }}",
    "{{ n is odd }}{{ n is even }}{{ 9 is divisibleby 3 }}{{ 9 is divisibleby(2) }}{{ n is eq 7 }}{{ n is ne(7) }}{{ 3 is in l }}{{ n is gt 3 }}{{ 'a' is lt 'b' }}",
    "{{ n is not none and x is not undefined }}", "{{ missing is none }}{{ range is callable }}{{ x is not string }}",
    # methods
    "{{ ' a '.strip() }}|{{ 'xay'.strip('xy') }}|{{ ' a'.lstrip() }}|{{ 'a \n'.rstrip() }}|{{ 'a,b,c'.split(',') }}|{{ ' a  b '.split() }}|{{ 'a,b,c'.split(',', 1) }}|{{ 'a,b,c'.rsplit(',', 1) }}",
    "{{ x.startswith('He') }}{{ x.endswith(('x', 'ld')) }}{{ x.find('o') }}{{ x.find('q') }}{{ x.count('l') }}{{ x.upper() }}{{ x.lower() }}{{ x.title() }}{{ x.capitalize() }}{{ x.replace('o', '0') }}",
    "{{ ', '.join(words) }}{{ 'a\nb\n'.splitlines() }}{{ '12'.isdigit() }}{{ 'a1'.isdigit() }}{{ 'abc'.removeprefix('a') }}{{ 'abc'.removesuffix('bc') }}", "{{ l.index(2) }}{{ l.count(3) }}",
    # text and strings
    "{{ 'a\\nb\\t\\'q\\'' }}{{ \"d\\\"q\" }}{{ 'one' 'two' }}", "plain { text } % with # signs {", "{{ '' }}", "",
    "{% generation %}x{{ n }}{% endgeneration %}", "{% if n == 1 %}a{% elif n == 7 %}b{% elif true %}c{% else %}d{% endif %}",
    "{{ \"it's a two-part (title) 3rd [ßx] {y\"|title }}|{{ \"it's 3rd two-part\".title() }}|{{ 'a\tb  c-\u3000d'|title }}",
    "{{ '42'|int }} {{ ' -7 '|int }} {{ '3.9'|int }} {{ '1e3'|int }} {{ '+5'|int }} {{ 'x'|int }} {{ 'x'|int(9) }} {{ ''|int }} {{ '-'|int }}",
    "{{ 2.9|int }} {{ -2.9|int }} {{ true|int }} {{ l|int }} {{ nothing|int(3) }} {{ '0x10'|int }} {{ 'nan'|int }} {{ '1.5.2'|int }} {{ '007'|int }}",
    "{{ 0 }}{{ 00 }}{{ 0.5 }}{{ 01.5 }}",
    # failures
    "{{ raise_exception('no: ' + x) }}", "{{ missing.attribute }}", "{{ 'a' + 1 }}", "{{ missing() }}", "{{ 1 / 0 }}", "{{ n[0] + 1 }}", "{{ nothing + 'a' }}",
    "{% if %}x{% endif %}", "{% for x in %}{% endfor %}", "{{ x", "{% if yes %}", "{{ 'abc }}", "{{ x|nofilter }}", "{{ x is notest }}", "{% nonsense %}", "{{ l.append(1) }}",
    "{% set a.b = 1 %}", "{{ 1 + }}", "{{ (1 }}", "{% endfor %}", "{{ x y }}", "{{ l > 1 }}",
    "{{ missing|int }}", "{{ missing|indent }}", "{{ 012 }}", "{{ x is string(1) }}",
]


def case(name, template, context, keep_template=True):
    out = {'name': name, 'template': template, 'context': context}
    if not keep_template:
        del out['template']
    try:
        out['expected'] = _compile_jinja_template(template).render(**context)
    except Exception as error:  # whatever jinja2 raises: that it fails is the point
        out['fails'] = type(error).__name__
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--smollm2', help='GGUF file of SmolLM2-Instruct')
    args = parser.parse_args()
    cases = []
    for name, template in MODELS.items():
        for talk, messages in TALKS.items():
            for prompt in (False, True):
                if talk == 'none' and name not in ('chatml', 'qwen2', 'llama3', 'phi3', 'deepseek', 'zephyr'):
                    continue
                cases.append(case(f'{name} {talk} {prompt}', template, {
                    'messages': messages, 'add_generation_prompt': prompt, 'bos_token': '<s>', 'eos_token': '</s>'}))
    for name in ('qwen2.5', 'mistral', 'llama3.1'):
        context = {'messages': [USER, CALL, RESULT, REPLY, USER] if name != 'mistral' else [USER], 'tools': [TOOL, TOOL],
                   'add_generation_prompt': True, 'bos_token': '<s>', 'eos_token': '</s>'}
        cases.append(case(f'{name} tools', MODELS[name], context))
    think = [USER, {'role': 'assistant', 'content': '<think>\nhm\n</think>\n\nYes.'}, AGAIN,
             {'role': 'assistant', 'content': '<think>\nwell\n</think>\n\nNo.'}]
    for name in ('qwen3', 'deepseek'):
        cases.append(case(f'{name} think', MODELS[name], {'messages': think, 'add_generation_prompt': False, 'bos_token': '<s>',
                                                          'eos_token': '</s>', 'enable_thinking': False}))
    for i, template in enumerate(CONSTRUCTS):
        cases.append(case(f'construct {i}', template, DATA))
    if args.smollm2:
        import gguf
        template = gguf.GGUFReader(args.smollm2).fields['tokenizer.chat_template'].contents()
        for talk, messages in TALKS.items():
            for prompt in (False, True):
                cases.append(case(f'smollm2 {talk} {prompt}', template, {
                    'messages': messages, 'add_generation_prompt': prompt}, False))
    print('[\n' + ',\n'.join(json.dumps(c, ensure_ascii=False) for c in cases) + '\n]')


if __name__ == '__main__':
    main()
