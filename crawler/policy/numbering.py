"""Is a page one of a numbered set, which ends, or of a calendar, which does not?

URLs that differ in one number of up to six digits are at most a million, as many as a host may have anyway
(--max-urls-per-host). So where their pages differ in a number, too, they are let in although they are otherwise alike,
unless they speak of days, weeks, months or years: a calendar has no last page. URLs with several numbers, longer ones
or other variable parts may have no end.
Invariant: the answer depends on the page alone. It may only be asked where nothing else tells a page from the others.
"""

from __future__ import annotations

import re

from crawler.records import Page

_NUMBER = re.compile(r"\d+")
_MAX_DIGITS = 6
_WORD = re.compile(r"[^\W\d_]+")
_DATE = re.compile(r"\b\d{4}[-/.]\d{1,2}\b|\b\d{1,2}[-/.]\d{4}\b|\b\d{1,2}\.\s?\d{1,2}\.|\d\s?[年月日]")
_GRID = re.compile(r"\b26\s+27\s+28\b")  # the days of a month, in any language
_UNITS = (
    "calendar cal calendrier calendario kalender kalendarz agenda schedule ical year years month months week weeks"
    " day days date dates daily weekly monthly yearly jahr monat woche tag datum année annee mois semaine jour date"
    " año ano mes semana día dia fecha anno mese settimana giorno data mês jaar maand dag rok miesiąc tydzień dzień år"
    " månad vecka veckodag"
)
_MONTHS = (
    "january february march april may june july august september october november december jan feb mar apr jun jul"
    " aug sep sept oct nov dec januar februar märz mai juni juli oktober dezember jän mär okt dez janvier février mars"
    " avril juin juillet août septembre octobre novembre décembre janv févr avr juil déc enero febrero marzo abril"
    " mayo junio julio agosto septiembre octubre noviembre diciembre ene abr ago dic gennaio febbraio aprile maggio"
    " giugno luglio settembre ottobre dicembre gen mag giu lug set ott janeiro fevereiro março maio junho julho"
    " setembro outubro novembro dezembro fev out januari februari maart mei augustus maj styczeń luty marzec kwiecień"
    " czerwiec lipiec sierpień wrzesień październik listopad grudzień augusti január február"
)
_DAYS = (
    "monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun montag dienstag mittwoch"
    " donnerstag freitag samstag sonntag lundi mardi mercredi jeudi vendredi samedi dimanche lunes martes miércoles"
    " jueves viernes sábado domingo lunedì martedì mercoledì giovedì venerdì sabato domenica segunda terça quarta"
    " quinta sexta maandag dinsdag woensdag donderdag vrijdag zaterdag zondag"
)
_OF_CALENDARS = frozenset(f"{_UNITS} {_MONTHS} {_DAYS}".split())


def shape_of(url: str) -> str | None:
    """What the URL has in common with those that differ from it in one number alone; None where that is no such."""
    target = url.partition("://")[2].partition("/")[2]
    found = _NUMBER.findall(target)
    return _NUMBER.sub("#", target) if len(found) == 1 and len(found[0]) <= _MAX_DIGITS else None


def is_of_calendar(page: Page) -> bool:
    """Whether the page's URL or title speaks of days, weeks, months or years, or its text shows those of a month."""
    title = page.title or ""
    words = _WORD.findall(f"{page.url.partition('://')[2].partition('/')[2]} {title}".lower())
    return not _OF_CALENDARS.isdisjoint(words) or bool(_DATE.search(title) or _GRID.search(page.text))
