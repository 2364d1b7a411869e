import { Box, Flex, Heading, Text } from "@chakra-ui/react";
import { useEffect, useRef } from "react";

import type { Step } from "src/board/position";
import { SeatSign } from "src/board/signs";

/** Moves shown on each side of the present one: a game may have thousands. */
const AROUND = 60;

/** The moves of a game, of which one is shown; each is a button that leads to its position. */
export const MoveList = ({ go, ply, steps }: { go: (ply: number) => void; ply: number; steps: readonly Step[] }) => {
  const list = useRef<HTMLOListElement>(null);
  const first = Math.max(1, ply - AROUND);
  const shown = steps.slice(first, ply + AROUND + 1);
  useEffect(() => {
    const [box, item] = [list.current, list.current?.querySelector<HTMLElement>("[aria-current]")];
    if (box && item) {
      // Not scrollIntoView, which would move the page as well.
      box.scrollTop = item.offsetTop - box.clientHeight / 2 + item.clientHeight / 2;
    }
  }, [ply]);
  if (steps.length < 2) {
    return undefined;
  }
  return (
    <Box as="section">
      <Heading as="h2" mb={2} size="sm">
        Moves
      </Heading>
      <Box aria-label="Moves" as="ol" borderRadius="md" borderWidth="1px" listStyleType="none" maxHeight="17rem" overflowY="auto" position="relative" ref={list} tabIndex={-1}>
        {shown.map((step, index) => {
          const number = first + index;
          const current = number === ply;
          return (
            <Box as="li" key={number}>
              <Flex
                align="baseline"
                aria-current={current ? "step" : undefined}
                as="button"
                bg={current ? "bg.emphasized" : undefined}
                cursor="pointer"
                fontSize="sm"
                fontWeight={current ? "semibold" : undefined}
                gap={2}
                onClick={() => go(number)}
                px={2}
                py={0.5}
                textAlign="start"
                width="100%"
                _hover={{ bg: "bg.muted" }}
              >
                <Text as="span" color="fg.muted" fontVariantNumeric="tabular-nums" minWidth="2.2rem" textAlign="end">
                  {number}
                </Text>
                <SeatSign seat={step.mover ?? 0} size={11} />
                <Text as="span" minWidth={0}>
                  {step.says}
                </Text>
              </Flex>
            </Box>
          );
        })}
      </Box>
    </Box>
  );
};
