/** Who sits where, and how each stands: rings in hand, eliminated rings and territory, against what wins. */
import { Box, Flex, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";

import type { Shape, Step } from "src/board/position";
import { SeatSign, colorName, colorOf } from "src/board/signs";

interface Props {
  shape: Shape;
  step: Step;
  /** A line under the seat's name. */
  about?: (seat: number) => ReactNode;
  /** Share of the win of each seat, if somebody has judged the position. */
  values?: readonly number[];
  winner?: number | null;
}

export const Seats = ({ about, shape, step, values, winner }: Props) => (
  <Box as="ul" listStyleType="none">
    {step.hands.map((hand, index) => {
      const seat = index + 1;
      const moves = step.phase !== "GO" && step.seat === seat;
      return (
        <Box
          aria-current={moves ? "true" : undefined}
          as="li"
          borderColor={moves ? "fg" : "border"}
          borderRadius="md"
          borderWidth="1px"
          key={seat}
          mb={2}
          px={3}
          py={2}
        >
          <Flex align="center" gap={2}>
            <SeatSign seat={seat} size={16} />
            <Text fontWeight="semibold">{colorName(seat)}</Text>
            <Text color="fg.muted" fontSize="sm" overflow="hidden" textOverflow="ellipsis" whiteSpace="nowrap">
              {about?.(seat) ?? `seat ${seat}`}
            </Text>
            <Text fontSize="sm" fontWeight="semibold" ms="auto" whiteSpace="nowrap">
              {winner === seat ? "won" : moves ? "to move" : ""}
            </Text>
          </Flex>
          <Flex color="fg.muted" columnGap={4} fontSize="sm" fontVariantNumeric="tabular-nums" mt={1} wrap="wrap">
            <Count label="in hand" value={hand} />
            <Count label="eliminated" of={shape.elimination_target} value={step.eliminated[index]!} />
            <Count label="territory" of={shape.territory_target} value={step.territory[index]!} />
          </Flex>
          {values !== undefined && (
            <Flex align="center" gap={2} mt={1.5} title="share of the win">
              <Box bg="bg.emphasized" borderRadius="full" flexGrow={1} height="6px" overflow="hidden">
                <Box bg={colorOf(seat)} height="100%" width={`${100 * values[index]!}%`} />
              </Box>
              <Text fontSize="xs" fontVariantNumeric="tabular-nums" textAlign="end" width="2.6rem">
                {(100 * values[index]!).toFixed(0)} %
              </Text>
            </Flex>
          )}
        </Box>
      );
    })}
  </Box>
);

const Count = ({ label, of, value }: { label: string; of?: number; value: number }) => (
  <Text as="span" whiteSpace="nowrap">
    <Text as="span" color="fg">
      {value}
    </Text>
    {of === undefined ? "" : `/${of}`} {label}
  </Text>
);
