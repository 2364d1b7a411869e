"""The arena of the tournament hosts: blocks are played as a job on one of them, and here where no host plays them.

The job is detached and found again by whoever asks for the same blocks. What a host delivers is replayed before it
counts (tournament/remote/outcome.py); what it does not deliver, or not as it should, the next host plays, and at last
this machine. So a host decides where games are played, and never which or how many.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ringrift_loop.cluster.agent.job_record import RETRYABLE, JobFailure
from ringrift_loop.cluster.jobs import lifecycle
from ringrift_loop.cluster.jobs.lifecycle import PATIENCE_S, Outputs
from ringrift_loop.cluster.jobs.placement import JobRequest, known
from ringrift_loop.cluster.transport.opening import Transports, open_transport
from ringrift_loop.cluster.transport.turns import sentence
from ringrift_loop.errors import JobOutOfSight, LoopError, NoCapacity
from ringrift_loop.ledger import jobs, matches
from ringrift_loop.ledger.jobs import JobRow
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.loop import Loop
from ringrift_loop.text import counted
from ringrift_loop.tournament.arena import Arena, EngineArena
from ringrift_loop.tournament.blocks import BlockPlan
from ringrift_loop.tournament.remote import placement
from ringrift_loop.tournament.remote.bundle import MAX_BLOCKS, MatchBundle, write_bundle
from ringrift_loop.tournament.remote.outcome import MAX_BLOCK_BYTES, Asked, Refusal, block_file, read_blocks

_log = logging.getLogger(__name__)

_MAX_OUTPUT_BYTES = 1 << 30
_CANCEL_S = 10.0
_TOLD = 3
_LATE_S = 60.0  # past its time, after which the host ends the job by itself


class HostArena:
    """Plays blocks on hosts with the role `tournament` that are reached by SSH, and what is left here."""

    def __init__(
        self,
        loop: Loop,
        *,
        folders: Mapping[str, str] | None = None,
        here: Callable[[], Arena] | None = None,
        limit_s: float = placement.LIMIT_S,
        transports: Transports = open_transport,
        poll_s: float = 5.0,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Make an arena; nothing is opened or asked yet.

        Args:
            loop: the loop.
            folders: model digest -> folder, for models outside the run directory.
            here: makes the arena of this machine; default: the rules engine's.
            limit_s: a host may play for so long; with a deadline, for half of the time that is left, so that a host
                which hangs leaves time for others.
            transports: ways to hosts.
            poll_s: seconds between two questions to a host.
            patience_s: a host that does not answer is asked again for so long.
        """
        self._loop = loop
        self._folders = dict(folders or {})
        self._make_here = here or (lambda: EngineArena(loop, folders=folders))
        self._here: Arena | None = None
        self._limit_s = limit_s
        self._transports, self._poll_s, self._patience_s = transports, poll_s, patience_s

    def play(
        self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
    ) -> Iterator[list[MatchRow]]:
        """Yield the games of each block that a host or this machine has played; see `play_match.play_blocks`.

        Raises:
            TimeoutError: the deadline has passed with blocks unfinished; those that were delivered have been yielded.
        """
        left = {plan.id: plan for plan in plans}
        openings = set(taken)
        without: list[str] = []
        while left and (among := placement.match_hosts(self._loop.inventory, without)):
            bundle = self._bundle(list(left.values())[:MAX_BLOCKS], openings)
            job_id = placement.match_job_id(bundle, without)
            is_placed = self._play_elsewhere(job_id, bundle, among, deadline)
            row = known(self._loop, job_id)
            if row is not None:
                for rows in self._believed(row, bundle, left):
                    openings.add(rows[0].opening)
                    yield rows
                without.append(row.host)
            shutil.rmtree(self._loop.directory.matches(job_id), ignore_errors=True)
            if left and deadline is not None and self._loop.clock() >= deadline:
                raise TimeoutError(f"{len(left)} of {len(plans)} blocks unfinished at the deadline")
            if not is_placed:
                break
        if left:
            yield from self._play_here(list(left.values()), len(plans), deadline, openings)

    def _play_here(
        self, plans: list[BlockPlan], asked: int, deadline: float | None, taken: set[str]
    ) -> Iterator[list[MatchRow]]:
        if placement.match_hosts(self._loop.inventory):
            _log.info("%d of %d blocks are played here: no host has played them", len(plans), asked)
        elif self._here is None:  # once: an arena never has any others
            _log.info("matches are played here: no enabled host reached by SSH has the role %s", placement.ROLE)
        if self._here is None:
            self._here = self._make_here()
        return self._here.play(plans, deadline=deadline, taken=taken)

    def _bundle(self, plans: list[BlockPlan], taken: set[str]) -> MatchBundle:
        plies = self._loop.config.evaluation.opening_random_plies
        return MatchBundle.of(plans, opening_plies=plies, taken=taken)

    def _play_elsewhere(self, job_id: str, bundle: MatchBundle, among: Sequence[str], deadline: float | None) -> bool:
        """Have a host play, for as long as that takes; False when none takes the job. What goes wrong is logged."""
        self._end_abandoned(job_id)
        folder, now = self._loop.directory.matches(job_id), self._loop.clock()
        write_bundle(folder / "bundle", bundle)
        limit_s = self._limit_s if deadline is None else min(self._limit_s, (deadline - now) / 2)
        request = JobRequest(
            id=job_id,
            command=placement.COMMAND,
            role=placement.ROLE,
            limit_s=max(0.0, limit_s) + _LATE_S,
            inputs=folder / "bundle",
            outputs=folder / "output",
            max_output_bytes=min(_MAX_OUTPUT_BYTES, MAX_BLOCK_BYTES * len(bundle.blocks)),
            fence_s=placement.FENCE_S,
            among=among,
            models={digest: self._model(digest) for digest in bundle.models},
        )
        try:
            asyncio.run(self._job(request, now, limit_s))
        except NoCapacity as error:
            _log.warning("no host plays matches of %s now: %s", bundle.variant, sentence(error))
            return False
        except (LoopError, OSError) as error:
            row = known(self._loop, job_id)
            where = "" if row is None else f" on {row.host}"
            _log.warning("the matches%s did not end well, what was delivered counts: %s", where, sentence(error))
            if row is not None and row.active and not isinstance(error, JobOutOfSight):
                self._cancel(row)
            return row is not None
        return True

    def _model(self, digest: str) -> Path:
        return Path(self._folders.get(digest) or self._loop.directory.model(digest))

    async def _job(self, request: JobRequest, now: float, limit_s: float) -> None:
        """Begin or attach, follow, collect; on a slow line sending the models may take the host's time and no more."""
        loop, ways, patience_s = self._loop, self._transports, self._patience_s
        assert request.outputs is not None
        async with asyncio.timeout(limit_s):
            row = await lifecycle.begin(loop, request, transports=ways, patience_s=patience_s)
        _log.info("%s plays the matches, job %s, attempt %d", row.host, row.id, row.attempt)
        outputs = Outputs(request.outputs, request.max_output_bytes)
        await lifecycle.follow(
            loop,
            row.id,
            lambda line: _log.info("%s: %s", row.host, line),
            until=now + limit_s,
            poll_s=self._poll_s,
            outputs=outputs,
            transports=ways,
            patience_s=patience_s,
        )
        await lifecycle.collect(
            loop,
            row.id,
            outputs=outputs.folder,
            max_output_bytes=outputs.max_bytes,
            transports=ways,
            patience_s=patience_s,
        )

    def _cancel(self, row: JobRow) -> None:
        with contextlib.suppress(LoopError, OSError):  # it ends by itself then, after its fence
            asyncio.run(lifecycle.cancel(self._loop, row.id, transports=self._transports, patience_s=_CANCEL_S))

    def _end_abandoned(self, job_id: str) -> None:
        """Write off the jobs of matches that nobody has followed for so long that they have ended by themselves."""
        at = self._loop.clock()
        failure = JobFailure(RETRYABLE, "nobody asked any more: its matches were played elsewhere", "contact")
        with self._loop.ledger.begin() as conn:
            for row in jobs.active(conn):
                late = at - row.last_contact_at > row.fence_s + jobs.MARGIN_S
                if late and row.id != job_id and row.id.startswith(placement.JOB_PREFIX):
                    jobs.end(conn, row, jobs.FAILED, at=at, failure=failure.as_json())
                    shutil.rmtree(self._loop.directory.matches(row.id), ignore_errors=True)

    def _believed(self, row: JobRow, bundle: MatchBundle, left: dict[str, BlockPlan]) -> list[list[MatchRow]]:
        """The new blocks of a delivery that stand up to the replay; takes from `left` what need not be played any more.

        A block that the match log has is known; what comes again under its id changes nothing.
        """
        openings = bundle.openings()
        asked = {plan.id: Asked(plan, openings[plan.id]) for plan in bundle.plans}
        output = self._loop.directory.matches(row.id) / "output"
        blocks, refusals = read_blocks(output, asked, host=row.host, at=self._loop.clock())
        with self._loop.ledger.read() as conn:
            logged = matches.of_blocks(conn, list(asked))
        for block in logged:
            left.pop(block, None)
        new = []
        for rows in blocks:
            before = logged.get(rows[0].block)
            if before is None:
                del left[rows[0].block]
                new.append(rows)
            elif _games(before) != _games(rows):
                reason = f"block {rows[0].block} is in the match log with other moves"
                refusals.append(Refusal(block_file(output, rows[0].block).name, reason))
        if refusals:
            self._tell(row.host, bundle.variant, refusals)
        return new

    def _tell(self, host: str, variant: str, refusals: Sequence[Refusal]) -> None:
        """What a host delivered that does not count: in the log, in the history and as a number."""
        first = "; ".join(f"{refusal.file}: {refusal.reason}" for refusal in refusals[:_TOLD])
        message = f"{counted(len(refusals), 'block')} of {variant} from {host} refused and played again: {first}"
        _log.warning("%s", message)
        with self._loop.ledger.begin() as conn:
            self._loop.record(conn, "tournament", message, variant=variant, host=host, refused=len(refusals))
        self._loop.metrics.incr("ringrift_match_blocks_refused_total", len(refusals), host=host)


def _games(rows: Sequence[MatchRow]) -> set[tuple[str, str]]:
    return {(row.id, row.moves) for row in rows}
