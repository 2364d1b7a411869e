import { Box, Table, Text } from "@chakra-ui/react";

import type { Schema } from "src/api/client";
import { counted, signed, whole } from "src/components/time";

interface Cell {
  games: number;
  score: number;
  blocks: number;
  low: number | null;
  high: number | null;
}

/** Who beat whom: the row's score against the column, its games, and the 95 % interval of the gain. */
export const MatchupTable = ({ matchups: { pairings, players, variant } }: { matchups: Schema<"Matchups"> }) => {
  if (pairings.length === 0) {
    return <Text color="fg.muted">No two players of {variant} have met yet.</Text>;
  }
  const met = players.map((_, index) => pairings.some(({ one, other }) => one === index || other === index));
  const shown = players.map((_, index) => index).filter((index) => met[index]);
  const cells = new Map<string, Cell>();
  for (const { blocks, games, high, low, one, other, score } of pairings) {
    cells.set(`${one} ${other}`, { blocks, games, high, low, score });
    // From the other side everything is turned round.
    const [turnedLow, turnedHigh] = [high === null ? null : -high, low === null ? null : -low];
    cells.set(`${other} ${one}`, { blocks, games, high: turnedHigh, low: turnedLow, score: 1 - score });
  }
  return (
    <Box aria-label="Head to head" overflowX="auto" role="region" tabIndex={0}>
      <Table.Root size="sm" width="auto">
        <Table.Caption captionSide="bottom" color="fg.muted" fontSize="xs" textAlign="start">
          The row&apos;s share of points against the column, games, and the Elo that its complete blocks show with 95 %.
        </Table.Caption>
        <Table.Header>
          <Table.Row>
            <Table.ColumnHeader bg="bg" left={0} position="sticky" scope="col">
              against
            </Table.ColumnHeader>
            {shown.map((index) => (
              <Table.ColumnHeader key={index} scope="col" textAlign="center" whiteSpace="nowrap">
                {short(players[index]!)}
              </Table.ColumnHeader>
            ))}
          </Table.Row>
        </Table.Header>
        <Table.Body>
          {shown.map((row) => (
            <Table.Row key={row}>
              <Table.ColumnHeader bg="bg" left={0} position="sticky" scope="row" whiteSpace="nowrap">
                {short(players[row]!)}
                <Text as="span" color="fg.muted" display="block" fontSize="xs" fontWeight="normal">
                  {whole(players[row]!.elo)} Elo
                </Text>
              </Table.ColumnHeader>
              {shown.map((column) => (
                <Score cell={cells.get(`${row} ${column}`)} key={column} same={row === column} />
              ))}
            </Table.Row>
          ))}
        </Table.Body>
      </Table.Root>
    </Box>
  );
};

const short = ({ champion, name }: Schema<"MatchPlayer">) => `${name.split("@")[0]}${champion ? " ★" : ""}`;

const Score = ({ cell, same }: { cell: Cell | undefined; same: boolean }) => {
  if (cell === undefined) {
    return (
      <Table.Cell bg={same ? "bg.muted" : undefined} color="fg.subtle" textAlign="center">
        {same ? "" : <span aria-label="never met">·</span>}
      </Table.Cell>
    );
  }
  const sure = cell.low !== null && cell.high !== null && (cell.low > 0 || cell.high < 0);
  const tone = sure ? (cell.low! > 0 ? "green" : "red") : undefined;
  return (
    <Table.Cell
      bg={tone && `${tone}.subtle`}
      color={tone && `${tone}.fg`}
      fontVariantNumeric="tabular-nums"
      textAlign="center"
      whiteSpace="nowrap"
    >
      <Text as="span" fontWeight="semibold">
        {Math.round(100 * cell.score)} %
      </Text>
      <Text as="span" display="block" fontSize="xs">
        {counted(cell.games, "game")}
      </Text>
      <Text as="span" display="block" fontSize="xs">
        {cell.low === null || cell.high === null ? "no block" : `${signed(cell.low)} to ${signed(cell.high)}`}
      </Text>
    </Table.Cell>
  );
};
