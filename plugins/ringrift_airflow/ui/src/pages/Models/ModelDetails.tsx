import { Box, DataList, Flex, Heading, List, Skeleton, Stack, Table, Text } from "@chakra-ui/react";
import { type ReactNode, useState } from "react";

import { type Schema, api, dataOf, useLive } from "src/api/client";
import { Age } from "src/components/Age";
import { ConfirmWithReason } from "src/components/ConfirmWithReason";
import { ErrorNotice } from "src/components/ErrorNotice";
import { Figure } from "src/components/Figure";
import { StateBadge } from "src/components/StateBadge";
import { clock, counted, span, whole } from "src/components/time";
import { Z95 } from "src/pages/Models/FamilyGraph";
import { LineageGraph, PARTS, type Part, TITLES } from "src/pages/Models/LineageGraph";

interface Props {
  digest: string;
  /** The part to begin with, as the address names it. */
  first: string | null;
  mayPromote: boolean;
  now: number;
  onSelect: (digest: string) => void;
  onStarted: (started: Schema<"Started">) => void;
}

/** One model: its history as a graph, and the figures of the part that is chosen there. */
export const ModelDetails = ({ digest, first, mayPromote, now, onSelect, onStarted }: Props) => {
  const { data, error } = useLive(
    ["model", digest],
    () => api.GET("/api/models/{digest}", { params: { path: { digest } } }),
    10_000,
  );
  const [part, setPart] = useState<Part>(PARTS.find((each) => each === first) ?? "model");
  const shown = data?.model.digest === digest ? data : undefined;
  if (shown === undefined) {
    return error === null ? <Skeleton height="20rem" /> : <ErrorNotice error={error} />;
  }
  const { model } = shown;
  return (
    <Stack as="section" aria-label={`Generation ${model.generation}`} gap={4} minWidth={0}>
      <ErrorNotice error={error} />
      <Flex align="center" gap={3} justify="space-between" wrap="wrap">
        <Box minWidth={0}>
          <Flex align="center" gap={2} wrap="wrap">
            <Heading as="h2" size="md">
              Generation {model.generation}
            </Heading>
            <StateBadge size="sm" state={model.state} />
          </Flex>
          <Text color="fg.muted" fontFamily="mono" fontSize="xs" overflowWrap="anywhere">
            {model.digest}
          </Text>
        </Box>
        {mayPromote && model.state !== "champion" && (
          <ConfirmWithReason
            action="Promote"
            onConfirm={async (reason) =>
              onStarted(await dataOf(api.POST("/api/models/promote", { body: { model: digest, reason } })))
            }
          >
            The DAG ringrift_promote starts. It makes generation {model.generation} of {model.variant} the champion if the
            gates have passed it; cool-down and daily maximum do not count.
          </ConfirmWithReason>
        )}
      </Flex>
      <LineageGraph lineage={shown} onSelect={setPart} selected={part} />
      <Box aria-live="polite" borderRadius="md" borderWidth="1px" p={{ base: 3, md: 4 }}>
        <PartDetails lineage={shown} now={now} onSelect={onSelect} part={part} />
      </Box>
    </Stack>
  );
};

interface PartProps {
  lineage: Schema<"Lineage">;
  now: number;
  onSelect: (digest: string) => void;
  part: Part;
}

/** The figures of one part of a model's history. */
export const PartDetails = ({ lineage, now, onSelect, part }: PartProps) => {
  switch (part) {
    case "games":
      return <Games window={lineage.window} />;
    case "start":
      return lineage.origin === null ? (
        <Start lineage={lineage} onSelect={onSelect} />
      ) : (
        <Origin now={now} origin={lineage.origin} />
      );
    case "training":
      return <Training now={now} training={lineage.training} />;
    case "model":
      return <Model lineage={lineage} now={now} onSelect={onSelect} />;
    case "regression":
    case "champion":
      return <Gate name={part} now={now} verdicts={lineage.verdicts} />;
    case "decision":
      return <Decisions now={now} steps={lineage.decisions} />;
  }
};

const Title = ({ children }: { children: ReactNode }) => (
  <Heading as="h3" mb={2} size="sm">
    {children}
  </Heading>
);

const Item = ({ children, label }: { children: ReactNode; label: string }) => (
  <DataList.Item alignItems="start">
    <DataList.ItemLabel minWidth="8rem">{label}</DataList.ItemLabel>
    <DataList.ItemValue display="block" minWidth={0} overflowWrap="anywhere">
      {children}
    </DataList.ItemValue>
  </DataList.Item>
);

const Items = ({ children }: { children: ReactNode }) => (
  <DataList.Root gap={1.5} orientation="horizontal" size="sm">
    {children}
  </DataList.Root>
);

const Games = ({ window }: { window: Schema<"Lineage">["window"] }) =>
  window === null ? (
    <Text color="fg.muted">It was not trained here.</Text>
  ) : (
    <>
      <Title>The games that it learned from</Title>
      <Items>
        <Item label="New">
          {counted(window.new_games, "game")} that no training had used before
        </Item>
        <Item label="Window">
          {counted(window.games, "game")} with {counted(window.rows, "position")}, older ones included
        </Item>
        <Item label="Taken in">
          {window.first_at === null || window.last_at === null
            ? "not known"
            : `${clock(window.first_at)} to ${clock(window.last_at)}`}
        </Item>
        <Item label="Played by">
          <Shares shares={window.players} />
        </Item>
        <Item label="Played on">
          <Shares shares={window.hosts} />
        </Item>
      </Items>
    </>
  );

const Shares = ({ shares }: { shares: Schema<"GamesShare">[] }) => {
  const all = shares.reduce((sum, { games }) => sum + games, 0);
  return shares.length === 0 ? (
    "not known"
  ) : (
    <Stack as="ul" gap={0.5} listStyleType="none">
      {shares.map(({ games, generation, name }) => (
        <Text as="li" key={name}>
          {generation === null ? name : `generation ${generation}`}{" "}
          <Text as="span" color="fg.muted">
            {counted(games, "game")}, {Math.round((100 * games) / all)} %
          </Text>
        </Text>
      ))}
    </Stack>
  );
};

/** A model of the variant that a press shows. */
const ModelLink = ({ line, onSelect }: { line: Schema<"ModelLine">; onSelect: (digest: string) => void }) => (
  <Text
    as="button"
    color="brand.fg"
    onClick={() => onSelect(line.digest)}
    textDecoration="underline"
    textUnderlineOffset="3px"
  >
    generation {line.generation}
  </Text>
);

const Links = ({ lines, onSelect }: { lines: Schema<"ModelLine">[]; onSelect: (digest: string) => void }) => (
  <Flex columnGap={3} wrap="wrap">
    {lines.map((line) => (
      <ModelLink key={line.digest} line={line} onSelect={onSelect} />
    ))}
  </Flex>
);

const Origin = ({ now, origin }: { now: number; origin: Schema<"Origin"> }) => (
  <>
    <Title>Where it came from</Title>
    <Items>
      <Item label="Imported from">{origin.source}</Item>
      <Item label="Made">
        <Age at={origin.made_at} now={now} /> by {counted(origin.trainings, "training")}
      </Item>
      <Item label="On its card">{origin.digest.slice(0, 12)}</Item>
      {origin.measured.length > 0 && (
        <Item label="Won there">
          <Stack as="ul" gap={0.5} listStyleType="none">
            {origin.measured.map((sentence) => (
              <Text as="li" key={sentence}>
                {sentence}
              </Text>
            ))}
          </Stack>
        </Item>
      )}
      <Item label="Licence">{origin.licence}</Item>
    </Items>
  </>
);

const Start = ({ lineage, onSelect }: { lineage: Schema<"Lineage">; onSelect: (digest: string) => void }) => (
  <>
    <Title>What training started from</Title>
    <Items>
      <Item label="Weights">
        {lineage.start === null ? "random" : `${lineage.start.slice(0, 12)} of ${lineage.start_variant ?? "a model that is not registered"}`}
      </Item>
      {lineage.training?.start == null ? undefined : <Item label="Because">{lineage.training.start}</Item>}
      <Item label="Parents">
        {lineage.ancestors.length === 0 ? "none" : <Links lines={lineage.ancestors} onSelect={onSelect} />}
      </Item>
    </Items>
  </>
);

const Training = ({ now, training }: { now: number; training: Schema<"Lineage">["training"] }) =>
  training === null ? (
    <Text color="fg.muted">It was not trained here.</Text>
  ) : (
    <>
      <Title>Training</Title>
      <Items>
        <Item label="Run">{training.run}</Item>
        <Item label="State">
          {training.state}
          {training.finished_at === null ? "" : `, in ${span(training.finished_at - training.started_at)}, `}
          {training.finished_at === null ? undefined : <Age at={training.finished_at} now={now} />}
        </Item>
        {training.steps === null ? undefined : (
          <Item label="Steps">
            {whole(training.steps)}, {whole(training.samples ?? 0)} samples
          </Item>
        )}
        {training.train === null || training.validation === null ? undefined : (
          <Item label="Losses">
            policy {training.train.policy.toFixed(3)}, on validation rows {training.validation.policy.toFixed(3)}; value{" "}
            {training.train.value.toFixed(3)} and {training.validation.value.toFixed(3)}
          </Item>
        )}
        {training.overfit_alarm ? (
          <Item label="Overfitted">
            the value loss on validation rows is {training.overfit_gap?.toFixed(3)} above that on training rows
          </Item>
        ) : undefined}
        {training.error === null ? undefined : <Item label="Error">{training.error}</Item>}
      </Items>
    </>
  );

const Model = ({ lineage: { children, model }, now, onSelect }: Omit<PartProps, "part">) => (
  <>
    <Title>The model</Title>
    <Items>
      <Item label="Rating">
        <Figure interval={model.stderr === null ? undefined : Z95 * model.stderr} unit="Elo" value={model.elo} />
        <Text as="span" color="fg.muted">
          , {counted(model.rated_games, "game")}
        </Text>
      </Item>
      <Item label="Made">
        <Age at={model.created_at} now={now} />
      </Item>
      <Item label="Children">
        {children.length === 0 ? "none yet" : <Links lines={children} onSelect={onSelect} />}
      </Item>
    </Items>
  </>
);

const Gate = ({ name, now, verdicts }: { name: string; now: number; verdicts: Schema<"Verdict">[] }) => {
  const own = verdicts.filter(({ gate }) => gate === name).toReversed();
  const title = name === "regression" ? "The six tests" : "Against the champion";
  return (
    <>
      <Title>{title}</Title>
      {own.length === 0 ? (
        <Text color="fg.muted">This gate was not held.</Text>
      ) : (
        <Stack gap={4}>
          {own.map((verdict) => (
            <Stack gap={2} key={verdict.at}>
              <Flex align="center" gap={2} wrap="wrap">
                <StateBadge size="sm" state={word(verdict)} />
                <Text color="fg.muted" fontSize="sm">
                  <Age at={verdict.at} now={now} />
                  {verdict.seconds === null ? "" : `, took ${span(verdict.seconds)}`}
                </Text>
              </Flex>
              {verdict.tests.length > 0 && <Tests tests={verdict.tests} />}
              {verdict.against !== null && (
                <Items>
                  <Item label="Gain">
                    <Figure
                      difference
                      interval={verdict.stderr === null ? undefined : Z95 * verdict.stderr}
                      unit="Elo"
                      value={verdict.gain}
                    />{" "}
                    over {verdict.against.slice(0, 12)}
                  </Item>
                  <Item label="Games">
                    {whole(verdict.games)} in {whole(verdict.blocks)} blocks
                  </Item>
                  {verdict.posterior === null ? undefined : (
                    <Item label="Stronger">with a probability of {(100 * verdict.posterior).toFixed(1)} %</Item>
                  )}
                </Items>
              )}
              {verdict.reasons.length > 0 && (
                <List.Root fontSize="sm" gap={1} ps={5}>
                  {verdict.reasons.map((reason) => (
                    <List.Item key={reason} overflowWrap="anywhere">
                      {reason}
                    </List.Item>
                  ))}
                </List.Root>
              )}
            </Stack>
          ))}
        </Stack>
      )}
    </>
  );
};

const word = ({ passed, undecided }: { passed: boolean; undecided: boolean }) =>
  passed ? "passed" : undecided ? "undecided" : "failed";

const Tests = ({ tests }: { tests: Schema<"TestVerdict">[] }) => (
  <Box overflowX="auto" role="region" aria-label="The six tests" tabIndex={0}>
    <Table.Root size="sm">
      <Table.Header>
        <Table.Row>
          {["test", "verdict", "figure", "limit"].map((head, index) => (
            <Table.ColumnHeader key={head} scope="col" textAlign={index > 1 ? "end" : "start"}>
              {head}
            </Table.ColumnHeader>
          ))}
          <Table.ColumnHeader display={{ base: "none", md: "table-cell" }} scope="col">
            detail
          </Table.ColumnHeader>
        </Table.Row>
      </Table.Header>
      <Table.Body>
        {tests.map((test) => (
          <Table.Row key={test.name}>
            <Table.Cell>{test.name.replaceAll("_", " ")}</Table.Cell>
            <Table.Cell>
              <StateBadge size="xs" state={word(test)} />
            </Table.Cell>
            <Table.Cell fontVariantNumeric="tabular-nums" textAlign="end" whiteSpace="nowrap">
              {number(test.figure)} <Text as="span" color="fg.muted">{test.unit}</Text>
            </Table.Cell>
            <Table.Cell fontVariantNumeric="tabular-nums" textAlign="end">
              {number(test.limit)}
            </Table.Cell>
            <Table.Cell color="fg.muted" display={{ base: "none", md: "table-cell" }} overflowWrap="anywhere">
              {test.detail}
            </Table.Cell>
          </Table.Row>
        ))}
      </Table.Body>
    </Table.Root>
  </Box>
);

const number = (value: number | null) => (value === null ? "–" : Number(value.toPrecision(3)).toString());

const Decisions = ({ now, steps }: { now: number; steps: Schema<"PointerStep">[] }) => (
  <>
    <Title>What was decided</Title>
    {steps.length === 0 ? (
      <Text color="fg.muted">Nothing yet.</Text>
    ) : (
      <Stack as="ol" gap={3} listStyleType="none">
        {steps.map((step) => (
          <Box as="li" key={`${step.at} ${step.status}`}>
            <Flex align="center" gap={2} wrap="wrap">
              <StateBadge size="sm" state={TITLES[step.status]!.toLowerCase()} />
              <Text fontSize="sm">
                {step.reign === null ? "" : `as champion ${step.reign}, `}
                {step.other === null ? "" : `${BEFORE[step.status]} ${step.other.slice(0, 12)}, `}
                <Age at={step.at} now={now} />
              </Text>
            </Flex>
            <Text color="fg.muted" fontSize="sm" overflowWrap="anywhere">
              {step.reason}
            </Text>
          </Box>
        ))}
      </Stack>
    )}
  </>
);

const BEFORE: Record<string, string> = {
  promoted: "over",
  rejected: "against",
  replaced: "by",
  rolled_back: "after",
  taken_back: "by",
};
