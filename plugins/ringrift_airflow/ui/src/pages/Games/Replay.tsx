/** A game move by move: its board, how each seat stands, its moves, and what the champion thinks at each step. */
import { Box, Button, Flex, Grid, IconButton, Stack, Text } from "@chakra-ui/react";
import { type ReactNode, useEffect, useMemo, useRef, useState } from "react";

import type { Schema } from "src/api/client";
import { Board } from "src/board/Board";
import { Seats } from "src/board/Seats";
import { PHASES, resultOf } from "src/board/phases";
import { cellsAt } from "src/board/position";
import { SeatSign, colorName, seatName } from "src/board/signs";
import { useAddress } from "src/components/useAddress";
import { MoveList } from "src/pages/Games/MoveList";
import { Opinion } from "src/pages/Games/Opinion";
import { ValueChart } from "src/pages/Games/ValueChart";
import { useJudgements } from "src/pages/Games/useJudgements";

const SECONDS = [2, 1, 0.5, 0.25] as const;

interface Props {
  game: Schema<"Replay">;
  /** Whether the page's address finds the game again. */
  linked?: boolean;
}

export const Replay = ({ game, linked = false }: Props) => {
  const { shape, steps } = game;
  const [params, change] = useAddress();
  const last = steps.length - 1;
  const ply = Math.min(last, Math.max(0, Math.trunc(Number(params.get("ply") ?? 0)) || 0));
  const before = useRef(ply);
  const go = (to: number) => {
    const next = Math.min(last, Math.max(0, to));
    before.current = ply;
    change((all) => all.set("ply", String(next)));
  };
  const [plays, setPlays] = useState(false);
  const [pace, setPace] = useState(1);
  const onward = useRef(go);
  onward.current = go;
  useEffect(() => {
    if (!plays || ply >= last) {
      setPlays(false);
      return undefined;
    }
    const timer = setTimeout(() => onward.current(ply + 1), 1000 * SECONDS[pace]!);
    return () => clearTimeout(timer);
  }, [plays, ply, last, pace]);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.target instanceof Element && event.target.closest("input, textarea, select, [data-cell]") !== null) {
        return;
      }
      const to = { ArrowLeft: ply - 1, ArrowRight: ply + 1, End: last, Home: 0 }[event.key];
      if (to !== undefined) {
        event.preventDefault();
        onward.current(to);
      }
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [ply, last]);
  const step = steps[ply]!;
  const cells = useMemo(() => cellsAt(shape, steps, ply), [shape, steps, ply]);
  const earlier = useMemo(() => cellsAt(shape, steps, Math.max(0, ply - 1)), [shape, steps, ply]);
  const judged = useJudgements(game, ply);
  const here = judged.at(ply);
  const [looked, setLooked] = useState<readonly number[]>([]);
  const shown = useMemo(() => new Set(looked), [looked]);
  const over = ply === last && game.result !== null;
  return (
    <Grid gap={{ base: 4, lg: 6 }} gridTemplateColumns={{ base: "minmax(0, 1fr)", lg: "minmax(0, 1fr) 24rem" }} maxWidth="86rem">
      <Stack gap={3} minWidth={0}>
        <Says over={over} result={game.result} step={step} winner={game.winner} />
        <Board
          cells={cells}
          label={`Board after ${ply} of ${last} plies`}
          last={ply === 0 ? undefined : { animate: before.current === ply - 1, before: earlier, key: ply, path: step.path }}
          shape={shape}
          shown={shown}
        />
        <Flex align="center" gap={1} justify="center" wrap="wrap">
          <Jump disabled={ply === 0} label="First position" onClick={() => go(0)} sign={<path d="M5 4h3v16H5zM20 4v16L9 12z" />} />
          <Jump disabled={ply === 0} label="One ply back" onClick={() => go(ply - 1)} sign={<path d="M18 4v16L6 12z" />} />
          <Button aria-pressed={plays} disabled={ply >= last} minWidth="5.5rem" onClick={() => setPlays(!plays)} size="sm" variant="outline">
            {plays ? "Pause" : "Play"}
          </Button>
          <Jump disabled={ply === last} label="One ply on" onClick={() => go(ply + 1)} sign={<path d="M6 4v16l12-8z" />} />
          <Jump disabled={ply === last} label="Last position" onClick={() => go(last)} sign={<path d="M4 4v16l11-8zM16 4h3v16h-3z" />} />
          <Button onClick={() => setPace((pace + 1) % SECONDS.length)} size="sm" variant="ghost">
            {SECONDS[pace]} s a ply
          </Button>
          {linked && <CopyLink />}
        </Flex>
        <Flex align="center" gap={3} px={2}>
          <input
            aria-label="Ply"
            max={last}
            min={0}
            onChange={(event) => go(Number(event.target.value))}
            style={{ accentColor: "var(--chakra-colors-brand-solid)", flexGrow: 1, minWidth: 0 }}
            type="range"
            value={ply}
          />
          <Text fontSize="sm" fontVariantNumeric="tabular-nums" whiteSpace="nowrap">
            {ply} / {last}
          </Text>
        </Flex>
        <ValueChart game={game} go={go} judged={judged.known} ply={ply} />
      </Stack>
      <Stack gap={4} minWidth={0}>
        <Seats shape={shape} step={step} values={here?.values} winner={over ? game.winner : null} />
        <Opinion game={game} here={here} look={setLooked} ply={ply} waitsFor={judged.waitsFor} problem={judged.error} />
        <MoveList go={go} ply={ply} steps={steps} />
      </Stack>
    </Grid>
  );
};

interface SaysProps {
  step: Schema<"Step">;
  over: boolean;
  winner: number | null;
  result: string | null;
}

/** The move that led here and what came of it, in words. */
const Says = ({ over, result, step, winner }: SaysProps) => (
  <Box aria-live="polite" minHeight="3.4rem">
    <Flex align="center" gap={2} wrap="wrap">
      {step.mover === null ? (
        <Text>The empty board.</Text>
      ) : (
        <>
          <SeatSign seat={step.mover} />
          <Text>
            <Text as="span" fontWeight="semibold">
              {colorName(step.mover)}:
            </Text>{" "}
            {step.says}
          </Text>
          <Text color="fg.muted" fontFamily="mono" fontSize="xs">
            {step.move}
          </Text>
        </>
      )}
    </Flex>
    <Text color="fg.muted" fontSize="sm">
      {over && result !== null
        ? winner === null
          ? result === "truncated"
            ? "The game was cut off: nobody has won."
            : "The game is over."
          : `${seatName(winner)} has won: ${resultOf(result)}.`
        : [...step.effects, `then ${colorName(step.seat)}: ${PHASES[step.phase] ?? step.phase}`].join("; ")}
    </Text>
  </Box>
);

/** The address of the page names the position. */
const CopyLink = () => {
  const [said, setSaid] = useState("Copy link");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(window.location.href);
      setSaid("Copied");
    } catch {
      // Browsers hand the clipboard to pages from https and from this machine only.
      setSaid("Copy it from the address bar");
    }
    setTimeout(() => setSaid("Copy link"), 3000);
  };
  return (
    <Button onClick={() => void copy()} size="sm" variant="ghost">
      {said}
    </Button>
  );
};

const Jump = ({ disabled, label, onClick, sign }: { disabled: boolean; label: string; onClick: () => void; sign: ReactNode }) => (
  <IconButton aria-label={label} disabled={disabled} onClick={onClick} size="sm" title={label} variant="outline">
    <svg aria-hidden fill="currentColor" viewBox="0 0 24 24">
      {sign}
    </svg>
  </IconButton>
);
