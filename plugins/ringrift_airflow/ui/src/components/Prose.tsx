import { Code } from "@chakra-ui/react";
import { Fragment } from "react";

/** A sentence of the library: what stands between backticks is something to type. */
export const Prose = ({ text }: { text: string }) =>
  text.split("`").map((part, index) =>
    // eslint-disable-next-line react/no-array-index-key -- parts of one sentence never change places
    index % 2 === 1 ? (
      <Code key={index} overflowWrap="anywhere" whiteSpace="normal">
        {part}
      </Code>
    ) : (
      <Fragment key={index}>{part}</Fragment>
    ),
  );
