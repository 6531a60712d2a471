"""`energyam lm`: texts with a memory and without, options that do not fit, and how tokens become text."""

import json
import shutil

import jax.numpy as jnp
import pytest
from lm_files import MERGES, VOCABULARY, folder_of, gguf_of
from lm_models import FOLDERS
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from typer.testing import CliRunner

from energyam import lm
from energyam.lm.command import app

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123.,?"


@pytest.fixture
def folder(tmp_path):
    """The tiny GPT-2 with a tokenizer of 61 characters."""
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(LETTERS + "ĠĊ")}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return folder_of(tmp_path, name="gpt2", eos_token_id=None)


def test_command_line(folder):
    text, kept = folder / "text.txt", folder / "kept.safetensors"
    text.write_text("Cats purr at night.")
    options = ["--model", str(folder), "--prompt", "Cats", "--tokens", "5", "--temperature", "0"]
    result = CliRunner().invoke(app, [*options, "--memory", str(text), "--save", str(kept)])
    assert result.exit_code == 0, result.output
    with_memory, plain = result.stdout.split("-- plain\n")
    assert with_memory.startswith("-- with the memory\nCats") and plain.startswith("Cats")
    assert "19 memories in layers [1, 2]" in result.stderr
    again = CliRunner().invoke(app, [*options, "--memory", str(kept)])
    assert again.stdout == result.stdout


def test_command_line_says_what_is_wrong(folder, monkeypatch):
    result = CliRunner().invoke(app, ["--model", str(folder / "absent.gguf"), "--prompt", "Cats"])
    assert result.exit_code == 2 and "there is no model at" in result.stderr
    assert CliRunner().invoke(app, []).exit_code == 2
    result = CliRunner().invoke(app, ["--kind", "2"])
    assert result.exit_code == 2 and "--prompt must be given" in result.stderr
    monkeypatch.setattr("energyam.lm.command.fetch_smollm2", lambda: folder / "model.gguf")
    assert CliRunner().invoke(app, ["fetch"]).stdout.strip() == str(folder / "model.gguf")


def run(folder, *options):
    return CliRunner().invoke(app, ["--model", str(folder), "--prompt", "Cats", "--tokens", "5", *options])


def test_layers_of_a_saved_memory(folder):
    text, kept = folder / "text.txt", folder / "kept.safetensors"
    text.write_text("Cats purr at night.")
    made = run(folder, "--memory", str(text), "--layers", "0, 2", "--save", str(kept))
    assert "19 memories in layers [0, 2]" in made.stderr
    one = run(folder, "--memory", str(kept), "--layers", "2", "--temperature", "0")
    assert "19 memories in layers [2]" in one.stderr
    again = run(folder, "--memory", str(text), "--layers", "2", "--temperature", "0")
    assert one.stdout == again.stdout
    other = run(folder, "--memory", str(kept), "--layers", "1")
    assert other.exit_code == 2 and "layers must be among the store's (0, 2); got [1]" in other.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--memory", "text.txt", "--layers", "a,b"], "--layers must be different numbers from 0 to 2, with"),
        (["--memory", "text.txt", "--layers", "1;2"], "such as 0,1; got '1;2'"),
        (["--memory", "text.txt", "--layers", "3"], "--layers must be different numbers from 0 to 2"),
        (["--memory", "text.txt", "--layers", "1,1"], "--layers must be different numbers"),
        (["--memory", "text.txt", "--save", "kept.bin"], "--save must end in .safetensors"),
        (["--memory", "empty.txt"], "--memory must be a text to remember; empty.txt is empty"),
        (["--memory", "blank.txt"], "--memory must be a text to remember; blank.txt is empty"),
        (["--memory", "picture.txt"], "--memory must be a text in UTF-8 or a saved .safetensors store"),
        (["--layers", "1"], "--layers needs a memory: add --memory"),
        (["--save", "kept.safetensors"], "--save needs a memory"),
    ],
)
def test_options_that_do_not_fit(folder, monkeypatch, options, message):
    monkeypatch.chdir(folder)
    for name, content in (
        ("text", b"Cats"),
        ("empty", b""),
        ("blank", b" \n\t\n"),
        ("picture", b"\x89PNG\xff"),
    ):
        (folder / f"{name}.txt").write_bytes(content)
    result = run(folder, *options)
    assert result.exit_code == 2 and message in result.stderr and not (folder / "kept.bin").exists()


def test_what_ends_a_text_is_not_shown(folder):
    plain = run(folder, "--temperature", "0").stdout
    first = plain.removeprefix("-- plain\nCats")[0]
    token = lm.load_tokenizer(folder).encode(first).ids[0]
    folder_of(folder, name="gpt2", eos_token_id=[token])
    assert run(folder, "--temperature", "0").stdout == "-- plain\nCats\n"


def like_llama2():
    """A tokenizer whose words begin with ▁, and which leaves out the first space of what it decodes."""
    pieces = ["<unk>", "<s>", "</s>", "<0x0A>", "<0xC3>", "<0xA9>", *LETTERS[:51], "▁", "▁a", "▁b"]
    pieces = pieces[:61]
    model = models.BPE({p: i for i, p in enumerate(pieces)}, [], unk_token="<unk>", byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(["<s>", "</s>"])
    return tokenizer


def test_the_first_space_is_kept():
    tokenizer = like_llama2()
    before = [tokenizer.token_to_id(piece) for piece in ("<s>", "▁a", "b")]
    new = [tokenizer.token_to_id(piece) for piece in ("▁b", "a", "▁", "<0xC3>", "<0xA9>", "</s>")]
    assert tokenizer.decode(new) == "ba é"
    assert lm.decode_after(tokenizer, before, new) == " ba é"
    assert lm.decode_after(tokenizer, before, []) == ""
    assert lm.decode_after(tokenizer, [], new) == "ba é"
    assert lm.decode_after(tokenizer, [*before, new[3]], new[4:]) == "é"


def test_the_command_line_keeps_spaces(folder, monkeypatch):
    tokenizer = like_llama2()
    tokenizer.save(str(folder / "tokenizer.json"))
    written = [tokenizer.token_to_id(piece) for piece in ("▁b", "a", "<0xC3>", "<0xA9>", "▁a")]
    monkeypatch.setattr("energyam.lm.command.stream", lambda *args, **settings: iter(written))
    assert run(folder).stdout == "-- plain\nCats baé a\n"


def merges_folder(path, **files):
    path.mkdir(exist_ok=True)
    (path / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(VOCABULARY)}))
    (path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES))
    for name, content in files.items():
        (path / f"{name}.json").write_text(json.dumps(content))
    return path


def test_special_tokens_of_a_vocabulary(tmp_path):
    tokenizer = lm.load_tokenizer(merges_folder(tmp_path))
    assert tokenizer.encode("at<|end|>the filler3").tokens[:4] == ["a", "t", "<|end|>", "t"]
    assert tokenizer.encode("<|end|>").ids == [0] and tokenizer.decode([1, 0, 2]) == "ab"
    assert "filler3" not in tokenizer.encode("filler3").tokens


@pytest.mark.parametrize(
    "files",
    [
        {"added_tokens": {"<pad>": 61, "[SEP]": 62}},
        {
            "tokenizer_config": {
                "added_tokens_decoder": {"62": {"content": "[SEP]"}, "61": {"content": "<pad>"}}
            }
        },
        {"special_tokens_map": {"pad_token": "<pad>", "additional_special_tokens": [{"content": "[SEP]"}]}},
        {"tokenizer_config": {"pad_token": {"content": "<pad>"}, "sep_token": "[SEP]", "bos_token": None}},
    ],
)
def test_special_tokens_of_the_files_beside_it(tmp_path, files):
    tokenizer = lm.load_tokenizer(merges_folder(tmp_path, **files))
    assert tokenizer.encode("a<pad>b[SEP]<|end|>").ids == [1, 61, 2, 62, 0]


def test_tokenizer_files_that_do_not_fit(tmp_path):
    with pytest.raises(ValueError, match="the token '<pad>' must have the number 70; it would have 61"):
        lm.load_tokenizer(merges_folder(tmp_path, added_tokens={"<pad>": 70}))
    (tmp_path / "vocab.json").write_text("[]")
    with pytest.raises(ValueError, match=r"vocab\.json and .*merges\.txt can't be read as a tokenizer"):
        lm.load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer\.json can't be read as a tokenizer"):
        lm.load_tokenizer(tmp_path)


def test_a_gguf_without_a_tokenizer(folder):
    path = gguf_of(folder / "bare.gguf", tokenizer=None)
    with pytest.raises(ValueError, match=r"has no tokenizer: load it from a folder with"):
        lm.load_tokenizer(path)
    alone = run(path, "--temperature", "0")
    assert alone.exit_code == 2 and "has no tokenizer" in alone.stderr
    other = run(path, "--tokenizer", str(folder), "--temperature", "0")
    assert other.exit_code == 0 and other.stdout.startswith("-- plain\nCats")


def test_gguf_tokenizers_of_other_kinds(tmp_path):
    path = gguf_of(tmp_path / "tiny.gguf", tokenizer="llama")
    with pytest.raises(ValueError, match=r"as gpt-2 or smollm do; got llama, smollm\. Load it from a folder"):
        lm.load_tokenizer(path)
    assert jnp.isfinite(lm.load(path)([1, 2])).all()


def test_a_model_and_tokenizer_by_the_path_of_a_file(folder):
    file = folder / "model.safetensors"
    assert lm.load_tokenizer(file).encode("ab").ids == [0, 1]
    assert run(file, "--temperature", "0").stdout == run(folder, "--temperature", "0").stdout
    shutil.copy(FOLDERS["llama"] / "model.safetensors", folder / "other.safetensors")
    with pytest.raises(ValueError, match="this kind of model has no place for"):
        lm.load(folder / "other.safetensors")
