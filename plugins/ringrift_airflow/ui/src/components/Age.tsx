import { Span } from "@chakra-ui/react";

import { clock, span } from "src/components/time";

/** How long ago, with the moment as its title; `now` is the server's, so that a wrong clock here does not matter. */
export const Age = ({ at, now }: { at: number | null | undefined; now: number }) =>
  at === null || at === undefined ? (
    <Span color="fg.muted">never</Span>
  ) : (
    <Span title={clock(at)} whiteSpace="nowrap">
      {span(now - at)} ago
    </Span>
  );
