import { Span } from "@chakra-ui/react";

import { signed, whole } from "src/components/time";

interface Props {
  value: number | null | undefined;
  /** Half the width of its 95 % interval. */
  interval?: number | null;
  unit?: string;
  digits?: number;
  /** A difference shows its sign. */
  difference?: boolean;
}

/** A figure with its interval: `118 ± 34 Elo`. What is not known is a dash, never a zero. */
export const Figure = ({ difference = false, digits = 0, interval, unit, value }: Props) => {
  if (value === null || value === undefined) {
    return (
      <Span aria-label="not known" color="fg.muted">
        –
      </Span>
    );
  }
  const text = difference ? signed(value, digits) : digits ? value.toFixed(digits) : whole(value);
  return (
    <Span fontVariantNumeric="tabular-nums" whiteSpace="nowrap">
      {text}
      {interval !== null && interval !== undefined ? (
        <Span color="fg.muted" title="95 % interval">
          {` ± ${interval.toFixed(digits)}`}
        </Span>
      ) : undefined}
      {unit === undefined ? undefined : <Span color="fg.muted">{` ${unit}`}</Span>}
    </Span>
  );
};
