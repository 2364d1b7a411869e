"""The controller of one resource of one machine: from a sample to the duty of its workers. Pure functions.

The duty is the share of the time that a worker may compute, 0..1. What others use is known, so most of the answer needs
no feedback: the workers may use what is left of the target, and what they use at a full duty is learned from samples. A
PID controller on the remaining error corrects what this misses. Its terms are those of the deployment guide: the error
in percent points, gains x1.5 above 15 points and x0.7 below 5, an output smoothed by its predecessor; the integral
counts steps of 30 s instead of seconds, because with seconds it hits its limit at once and is a switch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ringrift_loop.config import Pid
from ringrift_loop.resources.bands import Band
from ringrift_loop.selfplay.pace import MIN_DUTY, QUIET_POINTS

STEP_S = 30.0
"""The period that the gains are meant for."""
STALE_S = 150.0
"""After a gap longer than five steps the past says nothing about the error's course."""
_FAR, _NEAR = 15.0, 5.0  # points of error at which gains change, as in the guide
_FAR_GAIN, _NEAR_GAIN = 1.5, 0.7
_INTEGRAL_POINTS = 15.0  # largest correction by the integral, points
_LEARN = 0.4  # weight of a new sample in what is known of the workers' appetite
_FORGET_OTHERS = 0.3  # others' load is believed at once when it grows, and only by this share a step when it falls
_FULL = 97.0  # percent, from which on a machine has no room
_LEAST_LEARNED_DUTY = 0.1  # with less, noise is larger than what is to be learned


@dataclass(frozen=True)
class Controller:
    """What a controller remembers between two samples."""

    duty: float = 0.5  # in force since `at`; half of it until something is known: no machine is overrun at the start
    at: float | None = None  # of the last sample taken in, UTC seconds; None: none yet
    error: float = 0.0  # then, points
    integral: float = 0.0  # points times steps
    output: float = 0.0  # correction, points
    appetite: float | None = None  # what the workers use at full duty, points; None: not known
    others: float | None = None  # what others use, smoothed on its way down, points
    held: bool = False  # something else than this controller kept the workers below what it asked for


def step(
    state: Controller,
    band: Band,
    pid: Pid,
    *,
    used: float,
    own: float,
    at: float,
    in_force: float | None = None,
    ahead: float = 0.0,
) -> Controller:
    """Take in a sample.

    Args:
        state: before it.
        band: where the utilization should lie.
        pid: gains.
        used: what the machine did on average since the sample before, percent of the machine.
        own: of that, what the loop's own workers did.
        at: the sample's time, UTC seconds; a sample that is not newer than the last one changes nothing.
        in_force: the duty that the workers had during the sample; by default the one that was decided last. 0: nothing
            is to be learned of their appetite from this sample.
        ahead: points by which others' load will change until the new duty has its effect.
    """
    if state.at is not None and at <= state.at:
        return state
    own = min(own, used)
    appetite = _learned(state, used, own, state.duty if in_force is None else in_force)
    others = _others(state, used - own)
    error = band.target - used
    fresh = state.at is not None and at - state.at <= STALE_S
    steps = min(2.0, (at - state.at) / STEP_S) if fresh and state.at is not None else 1.0
    output, integral = _correction(state, pid, error, steps, fresh=fresh)
    if state.held and error > 0:  # what is missing is no error of this controller's: it would only wind up
        output, integral = 0.0, state.integral
    wanted = band.target - others - ahead + output
    duty = min(1.0, max(MIN_DUTY, wanted / max(appetite, 1.0)))
    if (duty == MIN_DUTY and error < 0) or (duty == 1.0 and error > 0):
        integral = state.integral  # no winding up against a stop
    inside = band.low <= used <= band.high
    if state.at is not None and inside and abs(duty - state.duty) * appetite < QUIET_POINTS:
        duty = state.duty
    return replace(
        state, duty=duty, at=at, error=error, integral=integral, output=output, appetite=appetite, others=others
    )


def _learned(state: Controller, used: float, own: float, duty: float) -> float:
    """What the workers would use at full duty; the sample was taken under the duty in force."""
    if (
        duty < _LEAST_LEARNED_DUTY or own < 1.0
    ):  # workers that have just started, or wait, say nothing of their appetite
        return state.appetite if state.appetite is not None else 100.0
    seen = min(200.0, max(1.0, own / duty))
    if used >= _FULL and seen < (known := 100.0 if state.appetite is None else state.appetite):
        return known  # on a full machine they get what the others leave them, which is not what they would use
    return seen if state.appetite is None else state.appetite + _LEARN * (seen - state.appetite)


def _others(state: Controller, others: float) -> float:
    if state.others is None or others >= state.others:
        return others
    return state.others + _FORGET_OTHERS * (others - state.others)


def _correction(state: Controller, pid: Pid, error: float, steps: float, *, fresh: bool) -> tuple[float, float]:
    """The PID's output in points, and its integral."""
    gain = 1.0
    if pid.gain_scheduling:
        gain = _FAR_GAIN if abs(error) > _FAR else _NEAR_GAIN if abs(error) < _NEAR else 1.0
    integral = state.integral + error * steps if fresh else 0.0
    if pid.ki > 0:
        most = _INTEGRAL_POINTS / pid.ki
        integral = min(most, max(-most, integral))
    slope = (error - state.error) / steps if fresh else 0.0
    raw = gain * (pid.kp * error + pid.ki * integral + pid.kd * slope)
    return pid.output_smoothing * state.output + (1.0 - pid.output_smoothing) * raw, integral
