import { Box, Button, Field, Flex, Heading, Input, Link, NativeSelect, SimpleGrid, Stack, Text } from "@chakra-ui/react";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { NavLink } from "react-router-dom";

import { ROOT } from "src/Shell";
import { type Schema, api, dataOf } from "src/api/client";
import { Age } from "src/components/Age";
import { type Column, DataTable } from "src/components/DataTable";
import { ErrorNotice } from "src/components/ErrorNotice";
import { clock, whole } from "src/components/time";
import { useAddress } from "src/components/useAddress";
import { VARIANTS, type Variant } from "src/pages/Games/variants";

type Line = Schema<"GameLine">;

/** What can be asked for; each is a parameter of the page's address, so that a list can be linked to. */
const FIELDS = ["variant", "generation", "player", "host", "result", "winner", "plies_from", "plies_to", "since", "until"] as const;
type FieldName = (typeof FIELDS)[number];

const RESULTS = [
  ["elimination", "elimination"],
  ["territory", "territory"],
  ["sole_survivor", "sole survivor"],
  ["stalemate", "stalemate"],
  ["lps", "last player standing"],
  ["truncated", "cut off"],
] as const;

export const GameList = () => {
  const [params, change] = useAddress();
  // On a phone the games come first, unless they are filtered already.
  const [open, setOpen] = useState(() => FIELDS.some((name) => params.has(name)));
  const value = (name: FieldName) => params.get(name) ?? "";
  const set = (name: FieldName, text: string) =>
    change((all) => {
      if (text === "") {
        all.delete(name);
      } else {
        all.set(name, text);
      }
      if (name === "variant") {
        all.delete("generation");
      }
    });
  const wanted = query(params);
  const found = useInfiniteQuery({
    getNextPageParam: (last: Schema<"FoundGames">) => last.page.older ?? undefined,
    initialPageParam: undefined as string | undefined,
    placeholderData: keepPreviousData,
    queryFn: ({ pageParam }) => dataOf(api.GET("/api/games", { params: { query: { ...wanted, before: pageParam } } })),
    queryKey: ["games", wanted],
  });
  const pages = found.data?.pages ?? [];
  const lines = pages.flatMap(({ page }) => page.games);
  const now = pages[0]?.now ?? Date.now() / 1000;
  const hosts = pages[0]?.hosts ?? [];
  const lookedBack = pages.at(-1)?.page.looked_back_to;
  const players = value("variant") === "" ? 4 : Number(value("variant").slice(-2, -1));
  return (
    <Stack gap={4} maxWidth="80rem">
      <Flex align="center" gap={3} justify="space-between" wrap="wrap">
        <Heading as="h1" size="lg">
          Games of self-play
        </Heading>
        <Button asChild size="sm" variant="outline">
          <NavLink to={`${ROOT}/games/load`}>Load a record of your own</NavLink>
        </Button>
      </Flex>
      <Button
        alignSelf="start"
        aria-expanded={open}
        display={{ md: "none" }}
        onClick={() => setOpen(!open)}
        size="sm"
        variant="outline"
      >
        {open ? "Hide the filter" : "Filter"}
      </Button>
      <Box
        aria-label="Filter"
        as="section"
        borderRadius="md"
        borderWidth="1px"
        display={{ base: open ? "block" : "none", md: "block" }}
        p={{ base: 3, md: 4 }}
      >
        <SimpleGrid columns={{ base: 2, lg: 5, md: 3 }} gap={3}>
          <Select label="Variant" onChange={(text) => set("variant", text)} value={value("variant")}>
            <option value="">all</option>
            {VARIANTS.map((variant) => (
              <option key={variant}>{variant}</option>
            ))}
          </Select>
          <Typed
            disabled={value("variant") === ""}
            help={value("variant") === "" ? "needs a variant" : undefined}
            label="Generation"
            onChange={(text) => set("generation", text)}
            type="number"
            value={value("generation")}
          />
          <Typed label="Model or baseline" onChange={(text) => set("player", text)} placeholder="digest" value={value("player")} />
          <Select label="Host" onChange={(text) => set("host", text)} value={value("host")}>
            <option value="">all</option>
            {hosts.map((host) => (
              <option key={host}>{host}</option>
            ))}
          </Select>
          <Select label="Won by" onChange={(text) => set("winner", text)} value={value("winner")}>
            <option value="">anybody</option>
            {[...Array(players).keys()].map((seat) => (
              <option key={seat} value={seat + 1}>
                seat {seat + 1}
              </option>
            ))}
            <option value="0">nobody (cut off)</option>
          </Select>
          <Select label="Ended by" onChange={(text) => set("result", text)} value={value("result")}>
            <option value="">anything</option>
            {RESULTS.map(([name, label]) => (
              <option key={name} value={name}>
                {label}
              </option>
            ))}
          </Select>
          <Typed label="Plies from" onChange={(text) => set("plies_from", text)} type="number" value={value("plies_from")} />
          <Typed label="Plies to" onChange={(text) => set("plies_to", text)} type="number" value={value("plies_to")} />
          <Typed label="Since" onChange={(text) => set("since", text)} type="date" value={value("since")} />
          <Typed label="Before" onChange={(text) => set("until", text)} type="date" value={value("until")} />
        </SimpleGrid>
        {[...params.keys()].length > 0 && (
          <Button mt={3} onClick={() => change((all) => FIELDS.forEach((name) => all.delete(name)))} size="xs" variant="ghost">
            Clear the filter
          </Button>
        )}
      </Box>
      <ErrorNotice error={found.error} />
      {found.data !== undefined && (
        <DataTable
          columns={columns(now)}
          empty={lookedBack == null ? "No game is like that." : `No game since ${clock(lookedBack)} is like that.`}
          label="Games, the newest first"
          rowKey={(line) => line.id}
          rows={lines}
        />
      )}
      <Flex align="center" gap={3}>
        {found.hasNextPage && (
          <Button loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()} size="sm" variant="outline">
            {lookedBack == null ? "Older games" : "Look further back"}
          </Button>
        )}
        <Text aria-live="polite" color="fg.muted" fontSize="sm">
          {found.isLoading ? "Looking" : `${whole(lines.length)} shown`}
          {lookedBack == null ? "" : `, looked back to ${clock(lookedBack)}`}
        </Text>
      </Flex>
    </Stack>
  );
};

function query(params: URLSearchParams) {
  const number = (name: FieldName) => (params.get(name) ? Number(params.get(name)) : undefined);
  const day = (name: FieldName) => (params.get(name) ? new Date(`${params.get(name)}T00:00`).getTime() / 1000 : undefined);
  return {
    generation: params.get("variant") ? number("generation") : undefined,
    host: params.get("host") ?? undefined,
    player: params.get("player") ?? undefined,
    plies_from: number("plies_from"),
    plies_to: number("plies_to"),
    result: (params.get("result") ?? undefined) as "elimination" | undefined,
    since: day("since"),
    until: day("until"),
    variant: (params.get("variant") ?? undefined) as Variant | undefined,
    winner: number("winner"),
  };
}

const columns = (now: number): Column<Line>[] => [
  {
    cell: (line) =>
      line.kept ? (
        <Link asChild colorPalette="brand" fontFamily="mono" variant="underline">
          <NavLink to={`${ROOT}/games/${line.id}`}>{line.id.slice(0, 8)}</NavLink>
        </Link>
      ) : (
        <Text as="span" color="fg.muted" fontFamily="mono" title="given up by retention: its moves are gone">
          {line.id.slice(0, 8)} (gone)
        </Text>
      ),
    key: "id",
    label: "Game",
  },
  { cell: (line) => line.variant, key: "variant", label: "Variant" },
  { cell: (line) => playerOf(line), key: "player", label: "Played by", wide: true },
  { cell: (line) => (line.winner === null ? "nobody" : `seat ${line.winner}`), key: "winner", label: "Won by" },
  { cell: (line) => RESULTS.find(([name]) => name === line.result)?.[1] ?? line.result, key: "result", label: "Ended by", wide: true },
  { cell: (line) => line.plies, key: "plies", label: "Plies", numeric: true, sortBy: (line) => line.plies },
  { cell: (line) => line.host, key: "host", label: "Host", wide: true },
  { cell: (line) => <Age at={line.ingested_at} now={now} />, key: "at", label: "Came in", sortBy: (line) => line.ingested_at },
];

export const playerOf = ({ generation, player }: { generation?: number | null; player: string }): string =>
  generation == null ? (player.length === 64 ? player.slice(0, 8) : player) : `generation ${generation}, ${player.slice(0, 8)}`;

interface SelectProps {
  label: string;
  value: string;
  onChange: (text: string) => void;
  children: ReactNode;
}

export const Select = ({ children, label, onChange, value }: SelectProps) => (
  <Field.Root>
    <Field.Label fontSize="xs">{label}</Field.Label>
    <NativeSelect.Root size="sm">
      <NativeSelect.Field onChange={(event) => onChange(event.currentTarget.value)} value={value}>
        {children}
      </NativeSelect.Field>
      <NativeSelect.Indicator />
    </NativeSelect.Root>
  </Field.Root>
);

interface TypedProps {
  label: string;
  value: string;
  onChange: (text: string) => void;
  type?: "date" | "number" | "text";
  placeholder?: string;
  disabled?: boolean;
  help?: string;
}

const Typed = ({ disabled, help, label, onChange, placeholder, type = "text", value }: TypedProps) => (
  <Field.Root disabled={disabled}>
    <Field.Label fontSize="xs">{label}</Field.Label>
    <Input min={0} onChange={(event) => onChange(event.target.value)} placeholder={help ?? placeholder} size="sm" type={type} value={value} />
  </Field.Root>
);
