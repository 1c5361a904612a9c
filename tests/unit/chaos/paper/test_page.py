"""What the paper says, in both languages, and that it claims nothing."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from datetime import date

import pytest
from support.evidence.reported import Reported

from chaos.checkers.exits import UNEXPECTED_EXIT
from chaos.evidence.rebuilds import Rebuild
from chaos.evidence.run import SiteInfo
from chaos.findings import Finding, FindingKind, Verdict
from chaos.judge.verdict_file import CheckerSummary
from chaos.paper.asked import Asked
from chaos.paper.html import render_paper
from chaos.paper.language import LANGUAGES, language_of
from chaos.paper.page import DEVIATIONS_MAX, PaperPage, compose_paper
from chaos.paper.shown import ShownRun, shown, shown_run

HOSTILE = '</title><script>alert("1")</script>'


def seen(reported: Reported) -> ShownRun:
    return shown_run(reported.folder.name, reported.run, reported.verdict)


def page_of(*runs: ShownRun, lang: str = "fr", asked: Asked | None = None) -> PaperPage:
    words = language_of(lang)
    found = shown(runs, asked or Asked())
    return compose_paper(found, words, issued=date(2026, 11, 27), version="1.2.3")


def text_of(page: PaperPage) -> str:
    """The words that a reader sees, with plain spaces."""
    markup = render_paper(page, language_of(page.language))
    body = markup.partition("</style>")[2]
    plain = html.unescape(re.sub(r"<[^>]+>", " ", body))
    return re.sub(r"\s+", " ", plain)


def with_finding(run: ShownRun, *findings: Finding) -> ShownRun:
    return replace(run, verdict=replace(run.verdict, findings=findings))


def with_checker(run: ShownRun, name: str, verdict: Verdict = Verdict.VALID) -> ShownRun:
    one = CheckerSummary(name=name, question="Q.", verdict=verdict, findings=0)
    return replace(run, verdict=replace(run.verdict, checkers=(*run.verdict.checkers, one)))


def test_in_french(host_loss: Reported) -> None:
    text = text_of(page_of(seen(host_loss), asked=Asked(dmia_s=60.0, prd_s=0.0)))
    assert "Établi le 27 novembre 2026" in text
    assert "coupure d’alimentation d’un serveur : db-paris" in text
    assert (
        "DMIA, durée maximale d’interruption admissible (ReCyF 13.4) 60 s 22,4 s, site paris "
        "(exercice 1) dans la limite" in text
    )
    assert "0 s : aucune écriture acquittée perdue dans la limite" in text
    assert "Aucun écart constaté dans ces exercices." in text
    assert "Restauration : non exercé" in text
    assert "Non exercée : aucun de ces exercices ne restaure une sauvegarde." in text
    assert host_loss.run.manifest is not None
    assert host_loss.run.manifest.sha256 in text


def test_in_english(async_loss: Reported) -> None:
    page = page_of(seen(async_loss), lang="en", asked=Asked(dmia_s=10.0, prd_entries=0))
    text = text_of(page)
    assert "power cut: db-paris" in text
    assert "10 s 20.1 s, site saint-cloud (exercise 1) exceeded" in text
    assert "Objective not met: RTO" in text
    assert "Acknowledged entries lost 309 pieces of evidence, lost-entries proved" in text
    assert "RTO: 10 s asked, 20.1 s found: exceeded" in text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_it_claims_no_conformity(host_loss: Reported, lang: str) -> None:
    text = text_of(page_of(seen(host_loss), lang=lang))
    claims = re.findall(r"[^.]*\b(?:conform|compl(?:iant|iance|ies))\w*[^.]*\.", text, flags=re.I)
    assert claims
    for claim in claims:
        assert re.search(r"n’atteste d’aucune conformité|claims no conformity", claim), claim


@pytest.mark.parametrize("lang", LANGUAGES)
def test_it_is_self_contained_and_escapes_what_a_folder_says(
    host_loss: Reported, lang: str
) -> None:
    run = seen(host_loss)
    sites = (SiteInfo(name=HOSTILE, hosts=run.run.info.sites[0].hosts),)
    info = replace(run.run.info, sites=sites, topology=HOSTILE)
    asked = Asked(organisation=HOSTILE, system=HOSTILE, reference=HOSTILE)
    hostile = replace(run, folder=HOSTILE, run=replace(run.run, info=info))
    markup = render_paper(page_of(hostile, lang=lang, asked=asked), language_of(lang))
    assert "<script" not in markup
    assert markup.count("</title>") == 1
    assert not re.findall(r"https?://|@import|url\(", markup)
    assert not re.findall(
        r"<(?:img|script|iframe|object|link (?!rel=\"icon\" href=\"data:,\"))", markup
    )


def test_the_same_runs_have_the_same_reference(host_loss: Reported, steady: Reported) -> None:
    one, other = seen(host_loss), seen(steady)
    assert page_of(one, other).reference == page_of(other, one).reference
    assert page_of(one, other).reference != page_of(one).reference
    assert page_of(one, asked=Asked(reference="PCA-7")).reference == "PCA-7"


def test_what_is_not_known_in_french_is_said_in_english(host_loss: Reported) -> None:
    kind = FindingKind(word="new-trouble", meaning="", heading="New trouble", undecided="")
    finding = Finding(kind=kind, verdict=Verdict.INVALID, summary="s", checker="news")
    page = page_of(with_finding(seen(host_loss), finding))
    assert [one.words for one in page.deviations] == ["New trouble"]


def test_deviations_that_do_not_fit_are_counted(host_loss: Reported) -> None:
    finding = Finding(kind=UNEXPECTED_EXIT, verdict=Verdict.UNKNOWN, summary="s", checker="c")
    page = page_of(with_finding(seen(host_loss), *[finding] * (DEVIATIONS_MAX + 3)))
    assert len(page.deviations) == DEVIATIONS_MAX
    assert page.deviations_left_out == "et 3 autres, dans verdict.json"
    assert {one.weight for one in page.deviations} == {"non tranché"}


def test_a_restore_has_its_record_with_the_fields_of_the_text(host_loss: Reported) -> None:
    run = with_checker(with_checker(seen(host_loss), "restore"), "seals", Verdict.INVALID)
    page = page_of(run, asked=Asked(operator="Service exploitation"))
    fields = dict(page.restore)
    assert fields["Opérateur de sauvegarde"] == "Service exploitation"
    assert fields["Demandeur de la restauration"] == ""
    status = fields["Statut des vérifications effectuées"].replace("\u00a0", " ")
    assert status.startswith("Restauration : sans écart ; Cloisonnement : écart ; ")
    assert status.endswith("Traces : non exercé")


def test_a_cluster_restored_in_place_says_what_that_gave_up(host_loss: Reported) -> None:
    run = with_checker(seen(host_loss), "restored")
    operations = [one for site in run.run.histories for one in site.operations]
    entry = next(one for one in operations if one.outcome == "ok" and one.shared_unit is None)
    rebuild = Rebuild(
        entry=entry.id,
        xid="731",
        age_s=5.0,
        named_s=entry.end_s + 5.0,
        named_timeline=1,
        dead_s=entry.end_s + 6.0,
        host="db-orsay",
        begin_s=entry.end_s + 7.0,
        primary_s=entry.end_s + 11.4,
        timeline=3,
        withdrawn_again=("bruno reads",),
        backup_label="START TIME: 2026-11-27 11:34:57 UTC\n",
    )
    page = page_of(replace(run, run=replace(run.run, rebuilds=(rebuild,))))
    fields = {name: value.replace("\u00a0", " ") for name, value in page.restore}
    assert entry.id in fields["Fichiers restaurés"]
    assert fields["Date de la sauvegarde"] == "27 novembre 2026, 11 h 34 UTC"
    took = "Durée de la restauration, jusqu’à ce qu’il y ait de nouveau un primaire"
    assert fields[took] == "4,4 s"
    gave_up = "Données abandonnées, postérieures au point de restauration visé"
    assert fields[gave_up] == "0 écriture, soit 0 s avant la perte des données"
    again = "Retraits de droits postérieurs à ce point, appliqués de nouveau avant toute connexion"
    assert fields[again] == "1"
    assert "qu’une restauration abandonne" in page.subjects[0].words


def test_several_runs_say_of_how_many(host_loss: Reported, async_loss: Reported) -> None:
    rows = page_of(seen(host_loss), seen(async_loss)).subjects
    answers = {one.words.split("\u00a0:")[0]: one.answer for one in rows}
    assert answers["Données"] == "écart (1 sur 2)"
    assert answers["Copies"] == "sans écart (2 sur 2)"
    assert answers["Serveur primaire unique"] == "sans écart (2 sur 2)"
    assert answers["Traces"] == "non exercé"
