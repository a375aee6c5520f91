"""Every step after a copy by its name: what it would change (a dry run), and what it does.

A step that fails with `Transient` is repeated, and continues where it stopped: what is done already is not found again. A step
that returns has read back what it did.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.estate.recipes import CopyStep, StepCount, StepDone
from tasks.neutralisation import gateways, jobs, mask_people, urls, visibility
from tasks.neutralisation.context import Context

if TYPE_CHECKING:
    from tasks.wpcli.connection import Connection


@dataclass(frozen=True)
class Step:
    """A step: its dry run, which changes nothing, and its work. Both raise as `Connection.run`."""

    count: Callable[["Connection", Context], StepCount]
    apply: Callable[["Connection", Context], StepDone]


STEPS: dict[CopyStep, Step] = {
    CopyStep.KEEP_OUT: Step(visibility.count_keep_out, visibility.apply_keep_out),
    CopyStep.STOP_MAIL: Step(visibility.count_mail, visibility.apply_mail),
    CopyStep.PAUSE_JOBS: Step(jobs.count, jobs.apply),
    CopyStep.TEST_PAYMENTS: Step(gateways.count_payments, gateways.apply_payments),
    CopyStep.DISABLE_WEBHOOKS: Step(gateways.count_webhooks, gateways.apply_webhooks),
    CopyStep.HIDE_FROM_SEARCH: Step(visibility.count_hidden, visibility.apply_hidden),
    CopyStep.REPLACE_URLS: Step(urls.count, urls.apply),
    CopyStep.MARK_STAGING: Step(visibility.count_mark, visibility.apply_mark),
    CopyStep.MASK_PEOPLE: Step(mask_people.count, mask_people.apply),
    CopyStep.FLUSH: Step(visibility.count_flush, visibility.apply_flush),
}
