import { Box, Button, Flex, Heading, Stack, Text } from "@chakra-ui/react";

import type { Schema } from "src/api/client";
import type { Choice } from "src/pages/Play/choosing";

/** Buttons shown at once; more are narrowed down on the board. */
const MOST = 14;

interface Props {
  asked: Schema<"Question">;
  fitting: readonly Choice[];
  /** Cells of the move that is being looked at. */
  look: (cells: readonly number[]) => void;
  /** Forgets what was pointed at; undefined while nothing was. */
  onBack: (() => void) | undefined;
  play: (move: string) => void;
}

/** What the person is asked, by what rule, and the moves that are open. */
export const Asked = ({ asked, fitting, look, onBack, play }: Props) => {
  const kinds = [...new Set(fitting.map(({ kind }) => kind))];
  const listed = fitting.length <= MOST ? fitting : fitting.filter(({ cells, shown }) => cells.length === 0 && shown.length === 0);
  return (
    <Box as="section" borderColor="fg" borderRadius="md" borderWidth="1px" data-testid="asked" p={{ base: 3, md: 4 }}>
      <Heading as="h2" aria-live="polite" size="md">
        {asked.title}
      </Heading>
      <Text fontSize="sm" mt={1}>
        {asked.explains}{" "}
        <Text as="span" color="fg.muted" whiteSpace="nowrap">
          (rules {asked.section})
        </Text>
      </Text>
      <Stack as="ul" color="fg.muted" fontSize="sm" gap={1} listStyleType="none" mt={2}>
        {kinds.map((kind) => (
          <Text as="li" key={kind}>
            <Text as="span" color="fg" fontFamily="mono" fontSize="xs">
              {kind}
            </Text>{" "}
            {asked.kinds[kind]}
          </Text>
        ))}
      </Stack>
      <Flex align="center" gap={2} justify="space-between" mt={3}>
        <Text fontSize="sm" fontWeight="semibold">
          {fitting.length > MOST ? `${fitting.length} moves: point at a marked cell` : fitting.length === 1 ? "One move" : `${fitting.length} moves`}
        </Text>
        {onBack !== undefined && (
          <Button onClick={onBack} size="xs" variant="ghost">
            Choose anew
          </Button>
        )}
      </Flex>
      <Stack gap={1.5} mt={2}>
        {listed.map((choice) => {
          const cells = [...choice.cells, ...choice.shown];
          return (
            <Button
              data-move={choice.move}
              height="auto"
              justifyContent="start"
              key={choice.move}
              onBlur={() => look([])}
              onClick={() => play(choice.move)}
              onFocus={() => look(cells)}
              onMouseEnter={() => look(cells)}
              onMouseLeave={() => look([])}
              py={1.5}
              size="sm"
              textAlign="start"
              title={choice.move}
              variant="outline"
              whiteSpace="normal"
            >
              {choice.says[0]!.toUpperCase() + choice.says.slice(1)}
            </Button>
          );
        })}
      </Stack>
    </Box>
  );
};
