"""A witness's TOML: what is taken, and what is refused with its key and remedy."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from replication.access.problems import ConfigError
from replication.witness.config import PatienceTable, WitnessConfig, load_witness_config
from replication.witness.model import WitnessSettings

GOOD = """
[bascule.witness]
site = "paris"
sites = ["paris", "orsay", "saint-cloud"]

[bascule.witness.dcs]
endpoints = ["http://etcd1:2379"]
scope = "eds"
"""


def load(tmp_path: Path, text: str) -> WitnessConfig:
    path = tmp_path / "witness.toml"
    path.write_text(text)
    return load_witness_config(path)


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    return str(caught.value)


def test_the_least_that_is_needed(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD)
    assert config.settings == WitnessSettings(
        name="paris", site="paris", sites=frozenset({"paris", "orsay", "saint-cloud"})
    )
    assert (config.dcs.scope, config.rest, config.rest_tls) == ("eds", None, None)


def test_everything(tmp_path: Path) -> None:
    (tmp_path / "rest.password").write_text("quite-secret\n")
    text = GOOD.replace('site = "paris"', 'site = "paris"\nname = "w1"') + (
        '[bascule.witness.rest]\nuser = "w"\npassword_file = "rest.password"\n'
        '[bascule.witness.rest_tls]\nmode = "require"\n'
        "[bascule.witness.patience]\npatience_s = 0.5\nact_pause_s = 20\n"
    )
    config = load(tmp_path, text)
    assert (config.settings.name, config.settings.patience_s) == ("w1", 0.5)
    assert config.settings.act_pause_s == 20
    assert config.rest is not None
    assert config.rest.password().reveal() == "quite-secret"
    assert "quite-secret" not in repr(config)
    assert config.rest_ssl_context() is not None


WRONG = {
    "a site that is not one of them": ('site = "paris"', 'site = "lyon"', r"site: expected it"),
    "two sites": (', "saint-cloud"', "", r"sites: expected 3 or more.*found 2"),
    "a site twice": ('"saint-cloud"', '"orsay"', r"sites: a site is there twice"),
    "no etcd": ("[bascule.witness.dcs]", "[other]", r"dcs: missing key; expected a table"),
    "a slash": ('site = "paris"', 'site = "paris"\nname = "a/b"', r"name: expected a name without"),
    "a slip": ("sites =", "seites =", r"seites: unknown key; did you mean sites\?"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_its_key(tmp_path: Path, case: str) -> None:
    old, new, words = WRONG[case]
    with pytest.raises(ConfigError, match=words):
        load(tmp_path, GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("patience_s = 0", "expected seconds, above 0"),
        ("jitter_factor = 0.5", "expected a number from 1 to 1000"),
        ("votes_expire_s = 0.5", "etcd's leases are of whole seconds"),
        ("act_pause_s = 700", "expected act_pause_s_max (600) at most"),
        ("patence_s = 1", "did you mean patience_s?"),
    ],
)
def test_patience_has_limits(tmp_path: Path, line: str, words: str) -> None:
    text = f"{GOOD}[bascule.witness.patience]\n{line}\n"
    assert f"bascule.witness.patience.{line.partition(' ')[0]}: " in refusal(tmp_path, text)
    assert words in refusal(tmp_path, text)


def test_a_user_of_the_rest_api_needs_one_source_of_the_password(tmp_path: Path) -> None:
    text = f'{GOOD}[bascule.witness.rest]\nuser = "w"\n'
    words = "bascule.witness.rest: expected one of password_file and password_env; found 0"
    assert words in refusal(tmp_path, text)
    text += 'password_file = "nowhere"\n'
    assert "bascule.witness.rest.password_file: " in refusal(tmp_path, text)


def test_every_patience_is_a_setting() -> None:
    names = {one.name for one in fields(WitnessSettings)}
    assert set(PatienceTable.model_fields) == names - {"name", "site", "sites"}
