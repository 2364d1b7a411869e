import { Button, Checkbox, Flex, Grid, Heading, Link, Stack, Text } from "@chakra-ui/react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { NavLink, useNavigate } from "react-router-dom";

import { ROOT } from "src/Shell";
import { type Schema, api, dataOf } from "src/api/client";
import { usePatient } from "src/api/patient";
import { SeatSign, seatName } from "src/board/signs";
import { Age } from "src/components/Age";
import { type Column, DataTable } from "src/components/DataTable";
import { ErrorNotice } from "src/components/ErrorNotice";
import { Figure } from "src/components/Figure";
import { Panel } from "src/components/Panel";
import { Select } from "src/pages/Games/GameList";
import { BOARDS, type Variant } from "src/pages/Games/variants";
import { DEFAULT_STRENGTHS, opponentName, opponentsOf } from "src/pages/Play/opponents";

const BOARD_NAMES = {
  hex8: "small hexagon, 61 cells",
  hexagonal: "large hexagon, 469 cells",
  square19: "large square, 361 cells",
  square8: "small square, 64 cells",
} as const;

export const Lobby = () => {
  const own = usePatient({
    queryFn: () => dataOf(api.GET("/api/play")),
    queryKey: ["play"],
    staleTime: 0,
  });
  return (
    <Stack gap={4} maxWidth="80rem">
      <Heading as="h1" size="lg">
        Play
      </Heading>
      <ErrorNotice error={own.error} />
      {own.waitsFor !== undefined && <Text role="status">{own.waitsFor}</Text>}
      <Grid gap={4} gridTemplateColumns={{ base: "minmax(0, 1fr)", lg: "26rem minmax(0, 1fr)" }}>
        <NewGame />
        <Stack gap={4} minWidth={0}>
          {own.data !== undefined && own.data.ratings.length > 0 && <Ratings ratings={own.data.ratings} />}
          <Panel title="Your games">
            {own.data !== undefined && (
              <DataTable
                columns={columns(own.data.now)}
                empty="None yet: begin one."
                label="Your games"
                rowKey={(game) => game.id}
                rows={own.data.games}
              />
            )}
          </Panel>
        </Stack>
      </Grid>
    </Stack>
  );
};

const NewGame = () => {
  const [board, setBoard] = useState<(typeof BOARDS)[number]>("square8");
  const [players, setPlayers] = useState<2 | 3 | 4>(2);
  const [seat, setSeat] = useState(1);
  const [chosen, setChosen] = useState<(string | undefined)[]>([]);
  const [strength, setStrength] = useState<number>();
  const [pie, setPie] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const navigate = useNavigate();
  const variant: Variant = `${board}_${players}p`;
  const found = useQuery(opponentsOf(variant));
  const opponents = found.data?.opponents ?? [];
  const simulations = strength ?? found.data?.rated_simulations ?? 32;
  const others = [...Array(players).keys()].map((index) => index + 1).filter((each) => each !== seat);
  // A seat keeps its opponent where the variant has that one, else it gets the first: the champion.
  const seated = others.map((each) => {
    const wanted = chosen[each];
    return opponents.some(({ spec }) => spec === wanted) ? wanted! : (opponents[0]?.spec ?? "");
  });
  const strengths = [...new Set([...DEFAULT_STRENGTHS, found.data?.rated_simulations ?? 32])].sort((a, b) => a - b);
  const searches = seated.some((spec) => opponents.find((one) => one.spec === spec)?.searches);
  const begin = async () => {
    setBusy(true);
    setError(null);
    try {
      const { id } = await dataOf(
        api.POST("/api/play", { body: { opponents: seated, pie_rule: pie && players === 2, seat, simulations, variant } }),
      );
      await navigate(`${ROOT}/play/${id}`);
    } catch (failure) {
      setError(failure instanceof Error ? failure : new Error(String(failure)));
      setBusy(false);
    }
  };
  return (
    <Panel title="A new game">
      <Stack gap={3}>
        <ErrorNotice error={error ?? found.error} />
        <Select
          label="Board"
          onChange={(text) => setBoard(text as typeof board)}
          value={board}
        >
          {BOARDS.map((name) => (
            <option key={name} value={name}>
              {name}: {BOARD_NAMES[name]}
            </option>
          ))}
        </Select>
        <Grid gap={3} gridTemplateColumns="1fr 1fr">
          <Select
            label="Players"
            onChange={(text) => {
              const count = Number(text) as 2 | 3 | 4;
              setPlayers(count);
              setSeat(Math.min(seat, count));
            }}
            value={String(players)}
          >
            {[2, 3, 4].map((count) => (
              <option key={count}>{count}</option>
            ))}
          </Select>
          <Select label="You are" onChange={(text) => setSeat(Number(text))} value={String(seat)}>
            {[...Array(players).keys()].map((index) => (
              <option key={index} value={index + 1}>
                {seatName(index + 1)}
              </option>
            ))}
          </Select>
        </Grid>
        {others.map((each, index) => (
          <Flex align="end" gap={2} key={each}>
            <SeatSign seat={each} size={18} />
            <Select
              label={`${seatName(each)} is played by`}
              onChange={(spec) => setChosen((before) => Object.assign([...before], { [each]: spec }))}
              value={seated[index]!}
            >
              {opponents.map((one) => (
                <option key={one.spec} value={one.spec}>
                  {opponentName(one)}
                </option>
              ))}
            </Select>
          </Flex>
        ))}
        <Select label="Strength: simulations a move" onChange={(text) => setStrength(Number(text))} value={String(simulations)}>
          {strengths.map((count) => (
            <option key={count} value={count}>
              {count}
              {count === found.data?.rated_simulations ? " (as rated)" : ""}
            </option>
          ))}
        </Select>
        {!searches && opponents.length > 0 && (
          <Text color="fg.muted" fontSize="xs">
            These opponents choose at sight: the strength does not matter to them.
          </Text>
        )}
        {players === 2 && (
          <Checkbox.Root checked={pie} onCheckedChange={(change) => setPie(change.checked === true)} size="sm">
            <Checkbox.HiddenInput />
            <Checkbox.Control />
            <Checkbox.Label>Pie rule: seat 2 may exchange seats instead of its first placement</Checkbox.Label>
          </Checkbox.Root>
        )}
        <Button colorPalette="brand" disabled={opponents.length === 0} loading={busy} onClick={() => void begin()}>
          Begin
        </Button>
        <Text color="fg.muted" fontSize="xs">
          Your games are kept apart from all training data. A game without hints and without moves taken back, against opponents as
          they are rated, counts for your own rating.
        </Text>
      </Stack>
    </Panel>
  );
};

const Ratings = ({ ratings }: { ratings: Schema<"PersonRating">[] }) => (
  <Panel title="Your rating">
    <Flex columnGap={8} rowGap={2} wrap="wrap">
      {ratings.map((rating) => (
        <Stack gap={0} key={rating.variant}>
          <Text fontSize="sm">{rating.variant}</Text>
          <Text fontSize="xl" fontWeight="semibold">
            <Figure interval={rating.stderr === null ? null : 1.96 * rating.stderr} unit="Elo" value={rating.elo} />
          </Text>
          <Text color="fg.muted" fontSize="xs">
            {rating.games} {rating.games === 1 ? "game counts" : "games count"}
            {rating.helped > 0 ? `, ${rating.helped} with help` : ""}
            {rating.unrated > 0 ? `, ${rating.unrated} unrated` : ""}
          </Text>
        </Stack>
      ))}
    </Flex>
  </Panel>
);

const columns = (now: number): Column<Schema<"GameOfPerson">>[] => [
  {
    cell: (game) => (
      <Link asChild colorPalette="brand" variant="underline">
        <NavLink to={`${ROOT}/play/${game.id}`}>{game.variant}</NavLink>
      </Link>
    ),
    key: "variant",
    label: "Game",
  },
  {
    cell: (game) => game.players.map((who) => (who === "person" ? "you" : who.length === 64 ? who.slice(0, 8) : who)).join(", "),
    key: "players",
    label: "Seats",
  },
  { cell: (game) => game.plies, key: "plies", label: "Plies", numeric: true, sortBy: (game) => game.plies, wide: true },
  {
    cell: (game) =>
      game.result === null ? "goes on" : game.result === "resigned" ? "given up" : game.won === true ? "won" : game.winner === null ? "cut off" : "lost",
    key: "result",
    label: "Result",
  },
  { cell: (game) => <Age at={game.changed_at} now={now} />, key: "at", label: "Last move", sortBy: (game) => game.changed_at },
];
