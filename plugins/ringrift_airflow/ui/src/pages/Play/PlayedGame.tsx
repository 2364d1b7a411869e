import { Box, Button, Dialog, Flex, Grid, Heading, Link, Portal, Stack, Text } from "@chakra-ui/react";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { NavLink, useNavigate, useParams } from "react-router-dom";

import { ROOT } from "src/Shell";
import type { Schema } from "src/api/client";
import { Board } from "src/board/Board";
import { Seats } from "src/board/Seats";
import { resultOf } from "src/board/phases";
import { cellsAt } from "src/board/position";
import { colorName, seatName } from "src/board/signs";
import { ErrorNotice } from "src/components/ErrorNotice";
import { MoveList } from "src/pages/Games/MoveList";
import { Preferences } from "src/pages/Games/Opinion";
import { Asked } from "src/pages/Play/Asked";
import { chosenBy, open, pick } from "src/pages/Play/choosing";
import type { Variant } from "src/pages/Games/variants";
import { opponentsOf, seatedName } from "src/pages/Play/opponents";
import { type Game, useGame } from "src/pages/Play/useGame";

/** A game of one's own. */
export const PlayedGame = () => {
  const { id = "" } = useParams();
  const game = useGame(id);
  return (
    <>
      <Flex align="baseline" columnGap={3} mb={3} wrap="wrap">
        <Heading as="h1" size="lg">
          Your game
        </Heading>
        {game.table !== undefined && <Text color="fg.muted">{game.table.shape.variant}</Text>}
        <Link asChild fontSize="sm" ms="auto">
          <NavLink to={`${ROOT}/play`}>All your games</NavLink>
        </Link>
      </Flex>
      <ErrorNotice error={game.error} />
      {game.table === undefined ? (
        <Text role="status">{game.waitsFor ?? (game.error === null ? "Setting up the board" : "")}</Text>
      ) : (
        <AtTheBoard game={game} table={game.table} />
      )}
    </>
  );
};

const AtTheBoard = ({ game, table }: { game: Game; table: Schema<"Table"> }) => {
  const { shape } = table;
  const { ply, steps } = game;
  const opponents = useQuery(opponentsOf(shape.variant as Variant));
  const navigate = useNavigate();
  const [picked, setPicked] = useState<{ at: number; cells: readonly number[] }>({ at: 0, cells: [] });
  const [looked, setLooked] = useState<readonly number[]>([]);
  // What was pointed at belongs to one position; what is shown is the last position, unless an earlier one is looked at.
  const live = ply === steps.length - 1 && !game.busy;
  const asked = live ? table.question : null;
  const cellsPicked = asked !== null && picked.at === table.ply ? picked.cells : [];
  const choosing = asked === null ? undefined : open(asked.choices, cellsPicked);
  const cells = useMemo(() => cellsAt(shape, steps, ply), [shape, steps, ply]);
  const before = useMemo(() => cellsAt(shape, steps, Math.max(0, ply - 1)), [shape, steps, ply]);
  const shown = useMemo(() => new Set(looked), [looked]);
  const play = (move: string) => {
    setPicked({ at: table.ply, cells: [] });
    setLooked([]);
    game.play(move);
  };
  const point = (cell: number) => {
    if (asked === null) {
      return;
    }
    const next = pick(asked.choices, cellsPicked, cell);
    const chosen = chosenBy(asked.choices, next);
    if (chosen === undefined) {
      setPicked({ at: table.ply, cells: next });
    } else {
      play(chosen.move);
    }
  };
  const step = steps[ply]!;
  const over = table.result !== null;
  return (
    <Grid gap={{ base: 4, lg: 6 }} gridTemplateColumns={{ base: "minmax(0, 1fr)", lg: "minmax(0, 1fr) 25rem" }} maxWidth="86rem">
      <Stack gap={3} minWidth={0}>
        <Says game={game} step={step} table={table} />
        <Board
          cells={cells}
          chosen={cellsPicked}
          label={`Board after ${ply} plies; ${asked === null ? "it is not your turn" : asked.title}`}
          last={ply === 0 ? undefined : { animate: game.animates, before, key: ply, path: step.path }}
          onPick={asked === null ? undefined : point}
          shape={shape}
          shown={shown}
          targets={choosing?.targets}
        />
      </Stack>
      <Stack gap={4} minWidth={0}>
        {asked !== null && choosing !== undefined ? (
          <Asked
            asked={asked}
            fitting={choosing.fitting}
            look={setLooked}
            onBack={cellsPicked.length === 0 ? undefined : () => setPicked({ at: table.ply, cells: [] })}
            play={play}
          />
        ) : undefined}
        {over && <Over table={table} />}
        {game.hint !== undefined && game.hint.ply === table.ply && (
          <Box as="section" borderRadius="md" borderWidth="1px" p={3}>
            <Heading as="h2" size="sm">
              Hint
            </Heading>
            <Preferences judgement={game.hint.judgement} look={setLooked} played={null} />
          </Box>
        )}
        <Flex gap={2} wrap="wrap">
          <Button disabled={asked === null} loading={game.hinting} onClick={game.askHint} size="sm" variant="outline">
            Hint
          </Button>
          <Button disabled={!table.can_take_back || game.busy} onClick={game.takeBack} size="sm" variant="outline">
            Take back
          </Button>
          {over ? (
            <Confirmed
              ask="Remove"
              goOn="Keep it"
              it="Remove it"
              onConfirm={() => game.remove(() => void navigate(`${ROOT}/play`))}
              title="Remove this game?"
              warning="Its moves are gone, and your rating is computed without it."
            />
          ) : (
            <Confirmed
              ask="Resign"
              goOn="Play on"
              it="Give up"
              onConfirm={game.resign}
              title="Give the game up?"
              warning="It ends at once, you are last, and it counts as lost."
            />
          )}
          <Button asChild size="sm" variant="ghost">
            <a download href={new URL(`ringrift/api/play/${table.id}/record`, document.baseURI).href}>
              Download
            </a>
          </Button>
        </Flex>
        {(table.hints > 0 || table.taken_back > 0) && (
          <Text color="fg.muted" fontSize="sm">
            With {[table.hints > 0 && plural(table.hints, "hint"), table.taken_back > 0 && `${plural(table.taken_back, "move")} taken back`].filter(Boolean).join(" and ")}: this game does
            not count for your rating.
          </Text>
        )}
        <Seats
          about={(seat) => (seat === table.person ? "you" : seatedName(table.players[seat - 1]!, opponents.data?.opponents))}
          shape={shape}
          step={step}
          winner={over && ply === steps.length - 1 ? table.winner : null}
        />
        <MoveList go={game.show} ply={ply} steps={steps} />
      </Stack>
    </Grid>
  );
};

const plural = (count: number, what: string) => `${count} ${what}${count === 1 ? "" : "s"}`;

/** What has just happened, and whose turn it is. */
const Says = ({ game, step, table }: { game: Game; step: Schema<"Step">; table: Schema<"Table"> }) => (
  <Box aria-live="polite" minHeight="3.2rem">
    <Text>
      {step.mover === null ? (
        "The empty board."
      ) : (
        <>
          <Text as="span" fontWeight="semibold">
            {colorName(step.mover)}:
          </Text>{" "}
          {step.says}
        </>
      )}
    </Text>
    <Text color="fg.muted" fontSize="sm">
      {[
        ...step.effects,
        game.waitsFor ??
          (game.thinks ? `${colorName(table.steps.at(-1)?.seat ?? 1)} thinks` : table.question !== null && game.ply === game.steps.length - 1 ? "your turn" : undefined),
      ]
        .filter(Boolean)
        .join("; ")}
    </Text>
  </Box>
);

const Over = ({ table }: { table: Schema<"Table"> }) => {
  const won = table.winner === table.person;
  return (
    <Box bg="bg.muted" borderRadius="md" data-testid="over" p={3} role="status">
      <Text fontSize="lg" fontWeight="semibold">
        {table.result === "resigned" ? "You gave up." : won ? "You have won." : table.winner === null ? "The game was cut off." : "You have lost."}
      </Text>
      {table.winner !== null && table.result !== null && (
        <Text color="fg.muted" fontSize="sm">
          {seatName(table.winner)} {table.result === "resigned" ? "wins" : resultOf(table.result)}.
        </Text>
      )}
    </Box>
  );
};

interface Confirmation {
  ask: string;
  goOn: string;
  it: string;
  onConfirm: () => void;
  title: string;
  warning: string;
}

/** A button whose deed cannot be undone, so that it is asked about once more. */
const Confirmed = ({ ask, goOn, it, onConfirm, title, warning }: Confirmation) => (
  <Dialog.Root placement="center" role="alertdialog">
    <Dialog.Trigger asChild>
      <Button size="sm" variant="outline">
        {ask}
      </Button>
    </Dialog.Trigger>
    <Portal>
      <Dialog.Backdrop />
      <Dialog.Positioner px={3}>
        <Dialog.Content>
          <Dialog.Header>
            <Dialog.Title>{title}</Dialog.Title>
          </Dialog.Header>
          <Dialog.Body>{warning}</Dialog.Body>
          <Dialog.Footer>
            <Dialog.ActionTrigger asChild>
              <Button size="sm" variant="ghost">
                {goOn}
              </Button>
            </Dialog.ActionTrigger>
            <Dialog.ActionTrigger asChild>
              <Button colorPalette="red" onClick={onConfirm} size="sm">
                {it}
              </Button>
            </Dialog.ActionTrigger>
          </Dialog.Footer>
        </Dialog.Content>
      </Dialog.Positioner>
    </Portal>
  </Dialog.Root>
);
