import { Button, Text } from "@chakra-ui/react";
import { useState } from "react";

import type { Schema } from "src/api/client";
import { Age } from "src/components/Age";
import { type Column, DataTable } from "src/components/DataTable";
import { Figure } from "src/components/Figure";
import { counted } from "src/components/time";
import { Z95 } from "src/pages/Models/FamilyGraph";
import type { Part } from "src/pages/Models/LineageGraph";

type Refusal = Schema<"Refusal">;

interface Props {
  now: number;
  refusals: Refusal[];
  onSelect: (digest: string, part: Part) => void;
}

const FIRST = 5;
const BY: Record<string, { part: Part; words: string }> = {
  champion: { part: "champion", words: "Champion gate" },
  regression: { part: "regression", words: "Six tests" },
  rules: { part: "decision", words: "Rules, or a person" },
};

/** The candidates that were last refused, each with its reason; a press shows the report behind it. */
export const Refusals = ({ now, onSelect, refusals }: Props) => {
  const [all, setAll] = useState(false);
  return (
    <>
      <DataTable
        columns={columns(now, onSelect)}
        empty="No candidate was refused yet."
        label="Refused candidates"
        rowKey={(row) => String(row.id)}
        rows={all ? refusals : refusals.slice(0, FIRST)}
        stacked
      />
      {!all && refusals.length > FIRST && (
        <Button mt={2} onClick={() => setAll(true)} size="sm" variant="ghost">
          Show all {refusals.length}
        </Button>
      )}
    </>
  );
};

const columns = (now: number, onSelect: Props["onSelect"]): Column<Refusal>[] => [
  {
    cell: (row) => (
      <Button
        height="auto"
        onClick={() => onSelect(row.digest, BY[row.by]!.part)}
        px={0}
        size="sm"
        textDecoration="underline"
        variant="plain"
      >
        generation {row.generation}
      </Button>
    ),
    key: "candidate",
    label: "Candidate",
  },
  { cell: (row) => <Age at={row.at} now={now} />, key: "at", label: "When" },
  { cell: (row) => BY[row.by]!.words, key: "by", label: "Refused by" },
  {
    cell: (row) =>
      row.gain === null ? (
        "–"
      ) : (
        <>
          <Figure
            difference
            interval={row.gain_stderr === null ? undefined : Z95 * row.gain_stderr}
            unit="Elo"
            value={row.gain}
          />
          <Text as="span" color="fg.muted">
            {` over ${champion(row)}, ${counted(row.games, "game")}`}
          </Text>
        </>
      ),
    key: "gain",
    label: "Gain",
    title: "Over the champion of that time, in the games of the champion gate",
  },
  {
    cell: (row) => (
      <Text as="span" overflowWrap="anywhere">
        {row.reason}
      </Text>
    ),
    key: "reason",
    label: "Why",
  },
];

const champion = ({ against, against_generation: generation }: Refusal) =>
  generation === null ? (against?.slice(0, 12) ?? "nobody") : `generation ${generation}`;
