"""What is written down of this machine, and what never is."""

from __future__ import annotations

import json
import os
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.environment import LIBRARIES, MASK, ROOT, describe, limit_threads, redact

LETTERS = string.ascii_letters + string.digits
random = st.text(LETTERS, min_size=24, max_size=40).filter(lambda text: any(c.isdigit() for c in text))
KEYS = {
    "hub": "hf_{}",
    "forge": "ghp_{}",
    "forge app": "ghs_{}",
    "forge fine": "github_pat_{}",
    "lab": "glpat-{}",
    "index": "pypi-{}",
    "packages": "npm_{}",
    "model": "sk-{}",
    "model project": "sk-proj-{}",
    "chat": "xoxb-{}",
    "web": "eyJ{0}.eyJ{0}.{0}",
}
FORMS = {
    "variable": "HF_TOKEN={}",
    "export": "export AWS_SECRET_ACCESS_KEY={}",
    "suffixed": "API_KEY_PROD: {}",
    "yaml": "password: {}",
    "quoted": "passwd = '{}'",
    "json": '{{"access_token": "{}", "x": 1}}',
    "json in json": '{{\\"apiKey\\": \\"{}\\"}}',
    "dict": "{{'api_key': '{}'}}",
    "header": "Authorization: Bearer {}",
    "header basic": "authorization: Basic {}",
    "bearer": "sent Bearer {} to the server",
    "query": "GET https://example.org/x?token={}&page=2",
    "option": "run --token {} --fast",
    "option equals": "run --hub-token={}",
    "argv": "['run', '--api-key', '{}']",
    "keyword": "login(token='{}')",
    "arrow": "'client_secret' => '{}'",
    "url": "https://user:{}@example.org/simple",
    "url token": "https://{}@example.org/x.git",
    "url odd": "ftp://user:p@ss{}@example.org",
    "git": "git+https://oauth2:{}@example.org/a/b.git",
}
HARMLESS = [
    "",
    "epoch 3 of 10: loss 0.693, 1,234 tokens per second",
    "num_tokens=1024, max_tokens = 2048, tokens: 512",
    "tokenizer: BertTokenizerFast, token_type_ids: zeros, TOKENIZERS_PARALLELISM=false",
    "'pad_token': '[PAD]', 'eos_token': '</s>', mask_token=<mask>",
    "the next token: it was",
    "hf_hub_download(repo_id) and sk-learn-like-estimators",
    "https://example.org:8080/a/b/c?x=1#y and http://example.org/@name/x",
    "task glue/rte, 3/4 done, and/or, a / b, 10 % of N",
    "~/models/bert and ./relative/path/file.py and ../up/file",
    "shape (2, 3) / (3, 4), ratio 1/2/3",
    "s3 bucket, secretary, passwords are never kept",
    "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "path C: is a drive, 12:30, key: value",
]


@pytest.mark.parametrize("shape", KEYS.values(), ids=KEYS.keys())
@settings(max_examples=20)
@given(secret=random)
def test_keys_are_masked_wherever_they_stand(shape: str, secret: str) -> None:
    key = shape.format(secret)
    for line in (key, f"got {key}.", f'"{key}"', f"({key})", f"x={key}", f"MY_{key}", f"<{key}>"):
        assert secret not in redact(line), line
        assert MASK in redact(line)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@settings(max_examples=20)
@given(secret=random)
def test_named_secrets_and_credentials_are_masked(form: str, secret: str) -> None:
    masked = redact(f"before {form.format(secret)} after")
    assert secret not in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")


@given(secret=st.text(string.ascii_letters + string.digits + " ,;!$%&()*+-./:?@^_{|}~#=", min_size=6).map(str.strip))
def test_a_quoted_password_is_masked_whole(secret: str) -> None:
    masked = redact(f'password="{secret}"')
    if secret:
        assert masked == f'password="{MASK}"' or not any(word in masked for word in secret.split() if len(word) > 5)


def test_private_keys_are_masked() -> None:
    block = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nsecretsecret\n-----END RSA PRIVATE KEY-----\nrest"
    masked = redact(block)
    assert "MIIE" not in masked
    assert "secretsecret" not in masked
    assert masked.endswith("rest")


def test_values_of_secret_variables_are_masked_in_any_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "plain words 12")
    monkeypatch.setenv("DB_PASSWORD", "first line\nsecond line")
    monkeypatch.setenv("LONG_TOKEN", "plain words 123")
    monkeypatch.setenv("SHORT_TOKEN", "abc")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "harmless value")
    text = "x plain words 12 y plain words 123 z first line, second line, abc, harmless value"
    assert redact(text) == f"x {MASK} y {MASK} z {MASK}, {MASK}, abc, harmless value"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/home/bob", "~"),
        ("/home/bob/x.py", "~/x.py"),
        ("/Users/bob/x y/z", "~/x y/z"),
        ("/root/.cache/x", "~/.cache/x"),
        ('File "/opt/venv/lib/python3.11/site-packages/x.py", line 3', 'File "~/x.py", line 3'),
        ("'/mnt/bob/data'", "'~/data'"),
        ("path:/mnt/bob/data", "path:~/data"),
        ("--out=/gpfs/users/bob/run", "--out=~/run"),
        ("[/a/b, /c/d/e]", "[~/b, ~/e]"),
        ("file:///mnt/bob/x", "file://~/x"),
        (r"C:\Users\bob\x.py", r"~\x.py"),
        ("C:/Users/bob/x.py", "C:~/x.py"),
        (f"{ROOT}/harness/cli.py", "~paretune/harness/cli.py"),
        ("/rootless/x", "~/x"),
    ],
)
def test_home_and_absolute_folders_are_cut(text: str, kept: str) -> None:
    assert redact(text) == kept
    assert redact(f"see {text} now") == f"see {kept} now"


def test_the_home_folder_is_cut_wherever_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/srv/people/bob")
    assert redact("/srv/people/bob/a/b and /srv/people/bobby/a") == "~/a/b and ~/a"
    monkeypatch.setenv("HOME", "/")
    assert redact("and/or 1/2") == "and/or 1/2"


@given(st.lists(st.text(LETTERS, min_size=1, max_size=8), min_size=2, max_size=6))
def test_no_folder_of_an_absolute_path_is_kept(parts: list[str]) -> None:
    unique = [f"{part}{number}folder" for number, part in enumerate(parts)]
    masked = redact(f"cannot open '/{'/'.join(unique)}': no such file")
    assert not any(folder in masked for folder in unique[:-1])
    assert masked.endswith(f"{unique[-1]}': no such file")


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_is_left_as_it_is(text: str) -> None:
    assert redact(text) == text


fragments = st.sampled_from(
    [*HARMLESS, *(form.format("Abcdefgh1234567890Abcdefgh") for form in (*FORMS.values(), *KEYS.values()))]
    + ["/home/bob/x", "/a/b", "token=", "token: ", '"', "'", "\\", "@", "://", "=", ":", " ", "\n", "Bearer ", MASK]
)


@given(st.lists(fragments | st.text(max_size=5), max_size=8).map("".join))
def test_masking_twice_is_masking_once(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@pytest.mark.timeout(20)  # a pattern that is tried at every letter of a long word takes minutes
@pytest.mark.parametrize(
    "part", ["a", "a_", "x-", "-", "/a", "/", "token", "token_A", "a:", "'\\", "a.b+", "sk-", "bearer "]
)
def test_long_lines_are_masked_in_reasonable_time(part: str) -> None:
    redact(part * 20_000)


def test_the_environment_is_an_allow_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "abcdefgh")
    facts = describe("cpu", 1)
    own = {"paretune", "python", "system", "machine", "processor", "cores", "device", "threads", "commit", "dirty"}
    assert facts.keys() == own | set(LIBRARIES)
    text = json.dumps(facts)
    assert "abcdefgh" not in text
    assert os.path.expanduser("~") not in text
    assert redact(text) == text
    assert (facts["device"], facts["threads"]) == ("cpu", 1)


def test_threads_reach_the_libraries_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    limit_threads(3)
    assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "3"
