import { Box, Button, Flex, Heading, Text } from "@chakra-ui/react";
import { useEffect, useState } from "react";

import { type Schema, api, dataOf } from "src/api/client";
import { usePatient } from "src/api/patient";
import { ErrorNotice } from "src/components/ErrorNotice";
import type { Judgement } from "src/pages/Games/useJudgements";

const SIMULATIONS = 128;

interface Props {
  game: Schema<"Replay">;
  ply: number;
  here: Judgement | undefined;
  /** Cells of the move that is being looked at. */
  look: (cells: readonly number[]) => void;
  waitsFor: string | undefined;
  problem: Error | null;
}

/** The champion's policy at this position, at sight or after a search. */
export const Opinion = ({ game, here, look, ply, problem, waitsFor }: Props) => {
  const [wanted, setWanted] = useState<number>();
  const searched = usePatient({
    enabled: wanted === ply,
    queryFn: () =>
      dataOf(
        api.POST("/api/positions", {
          body: { moves: game.moves, pie_rule: game.pie_rule, plies: [ply], simulations: SIMULATIONS, variant: game.shape.variant },
        }),
      ),
    queryKey: ["searched", game.shape.variant, game.pie_rule, game.name, game.moves.length, ply],
  });
  useEffect(() => look([]), [look, ply]);
  const shown = searched.data?.[0] ?? here;
  return (
    <Box as="section">
      <Flex align="center" gap={2} justify="space-between" mb={2}>
        <Heading as="h2" size="sm">
          {shown === undefined || shown.player.length === 64 ? "What the champion thinks" : "What the heuristic thinks"}
        </Heading>
        <Button
          disabled={shown === undefined || shown.choices < 2 || shown.simulations > 0}
          loading={wanted === ply && searched.isFetching}
          onClick={() => setWanted(ply)}
          size="xs"
          variant="outline"
        >
          Search {SIMULATIONS}
        </Button>
      </Flex>
      <ErrorNotice error={problem ?? searched.error} />
      {shown === undefined ? (
        <Text color="fg.muted" fontSize="sm" role="status">
          {waitsFor ?? (problem === null ? "Thinking" : "")}
        </Text>
      ) : (
        <Preferences judgement={shown} look={look} played={game.steps[ply + 1]?.move ?? null} />
      )}
    </Box>
  );
};

interface PreferencesProps {
  judgement: Judgement;
  look: (cells: readonly number[]) => void;
  /** The move that was played here. */
  played: string | null;
}

/** The preferred moves with their shares. */
export const Preferences = ({ judgement, look, played }: PreferencesProps) => (
  <>
    <Text color="fg.muted" fontSize="xs" mb={1}>
      {judgement.player.length === 64 ? `model ${judgement.player.slice(0, 8)}` : "heuristic, for want of a champion"}
      {judgement.simulations > 0 ? `, ${judgement.simulations} simulations` : ", at sight"};{" "}
      {judgement.choices === 1 ? "one legal move" : `${judgement.choices} legal moves`}
    </Text>
    <Box as="ol" listStyleType="none">
      {judgement.moves.map(({ choice, policy, value, visits }) => (
        <Flex
          align="center"
          as="li"
          fontSize="sm"
          gap={2}
          key={choice.move}
          onBlur={() => look([])}
          onFocus={() => look([...choice.cells, ...choice.shown])}
          onMouseEnter={() => look([...choice.cells, ...choice.shown])}
          onMouseLeave={() => look([])}
          py={0.5}
          tabIndex={0}
          title={choice.move}
        >
          <Box bg="bg.emphasized" borderRadius="sm" flexShrink={0} height="8px" overflow="hidden" width="3.5rem">
            <Box bg="brand.solid" height="100%" width={`${100 * policy}%`} />
          </Box>
          <Text as="span" fontVariantNumeric="tabular-nums" textAlign="end" whiteSpace="nowrap" width="2.9rem">
            {(100 * policy).toFixed(0)} %
          </Text>
          <Text as="span" flexGrow={1} fontWeight={choice.move === played ? "semibold" : undefined} minWidth={0}>
            {choice.says}
            {choice.move === played ? " (played)" : ""}
          </Text>
          {value !== null && (
            <Text as="span" color="fg.muted" fontVariantNumeric="tabular-nums" title={`${visits} visits`} whiteSpace="nowrap">
              wins {(100 * value).toFixed(0)} %
            </Text>
          )}
        </Flex>
      ))}
    </Box>
  </>
);
