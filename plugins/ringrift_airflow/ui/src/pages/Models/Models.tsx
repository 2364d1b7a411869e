import { Alert, Box, Button, Flex, Heading, Link, NativeSelect, SimpleGrid, Skeleton, Stack, Text } from "@chakra-ui/react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useSearchParams } from "react-router-dom";

import { type Schema, api, dataOf, useLive } from "src/api/client";
import { Age } from "src/components/Age";
import { ConfirmWithReason } from "src/components/ConfirmWithReason";
import { ErrorNotice } from "src/components/ErrorNotice";
import { Figure } from "src/components/Figure";
import { Panel } from "src/components/Panel";
import { counted } from "src/components/time";
import { FamilyGraph, Z95 } from "src/pages/Models/FamilyGraph";
import { LossChart } from "src/pages/Models/LossChart";
import { MatchupTable } from "src/pages/Models/MatchupTable";
import type { Part } from "src/pages/Models/LineageGraph";
import { ModelDetails } from "src/pages/Models/ModelDetails";
import { Refusals } from "src/pages/Models/Refusals";
import { StrengthChart } from "src/pages/Models/StrengthChart";

type View = Schema<"ModelsAnswer">;

const FIRST = 20;
const MOST = 200;

/** The models of a variant: descent, strength, who beat whom; and which of them is the champion. */
export const Models = () => {
  const [search, setSearch] = useSearchParams();
  const choices = useLive(["variants"], () => api.GET("/api/variants"), 60_000);
  // The variant that was asked for, or that of the model that was, else the first that has a model.
  const model = search.get("config") === null ? search.get("model") : null;
  const named = useQuery({
    enabled: model !== null,
    queryFn: () => dataOf(api.GET("/api/models/{digest}", { params: { path: { digest: model! } } })),
    queryKey: ["model", model],
  });
  const first = (choices.data?.find(({ models }) => models > 0) ?? choices.data?.[0])?.variant;
  const variant = search.get("config") ?? (model === null ? first : named.data?.model.variant);
  const choose = (config: string) => setSearch({ config });
  return (
    <Stack gap={4} maxWidth="100rem">
      <Flex align="center" gap={4} justify="space-between" wrap="wrap">
        <Heading as="h1" size={{ base: "lg", md: "xl" }}>
          Models
        </Heading>
        {choices.data === undefined ? undefined : (
          <NativeSelect.Root size="sm" width="auto">
            <NativeSelect.Field
              aria-label="Variant"
              onChange={(event) => choose(event.target.value)}
              value={variant}
            >
              {choices.data.map(({ models, variant: name }) => (
                <option key={name} value={name}>
                  {name} ({counted(models, "model")})
                </option>
              ))}
            </NativeSelect.Field>
            <NativeSelect.Indicator />
          </NativeSelect.Root>
        )}
      </Flex>
      <ErrorNotice error={choices.error ?? named.error} />
      {variant === undefined ? undefined : <Family key={variant} variant={variant} />}
    </Stack>
  );
};

const Family = ({ variant }: { variant: string }) => {
  const [search, setSearch] = useSearchParams();
  const most = Math.min(MOST, Math.max(1, Number(search.get("most")) || FIRST));
  const [started, setStarted] = useState<Schema<"Started">>();
  const { data: view, error } = useLive(
    ["models", variant, most],
    () => api.GET("/api/models", { params: { query: { config: variant, most } } }),
    5000,
  );
  if (view === undefined) {
    return error === null ? <Skeleton height="24rem" /> : <ErrorNotice error={error} />;
  }
  const selected = search.get("model") ?? view.champion ?? view.models[0]?.digest;
  // All of it is in the address: Airflow mounts the page anew when that changes.
  const go = (to: Record<string, string>) =>
    setSearch({ config: variant, ...(most === FIRST ? {} : { most: String(most) }), ...to });
  const select = (model: string, part?: Part) => go({ model, ...(part === undefined ? {} : { part }) });
  return (
    <>
      <ErrorNotice error={error} />
      {started === undefined ? undefined : <StartedNotice started={started} />}
      {view.question === null ? undefined : <Question question={view.question} view={view} />}
      <Champion onStarted={setStarted} view={view} />
      {view.models.length === 0 ? (
        <Text color="fg.muted">
          {variant} has no model yet: the first comes of the first training.
        </Text>
      ) : (
        <>
          <SimpleGrid alignItems="start" gap={4} templateColumns={{ base: "minmax(0, 1fr)", xl: "29rem minmax(0, 1fr)" }}>
            <Panel title={`Family, ${counted(view.count, "model")}`}>
              <Box maxHeight={{ xl: "46rem" }} overflowY="auto">
                <FamilyGraph
                  champion={view.champion}
                  lines={view.models}
                  now={view.at}
                  onSelect={select}
                  selected={selected}
                />
              </Box>
              {view.models.length < view.count && most < MOST ? (
                <Button
                  mt={2}
                  onClick={() => go({ ...(selected === undefined ? {} : { model: selected }), most: String(most + 60) })}
                  size="sm"
                  variant="ghost"
                >
                  Show older ones
                </Button>
              ) : undefined}
            </Panel>
            {selected === undefined ? undefined : (
              <ModelDetails
                digest={selected}
                first={search.get("part")}
                key={`${selected} ${search.get("part")}`}
                mayPromote={view.may_promote}
                now={view.at}
                onSelect={select}
                onStarted={setStarted}
              />
            )}
          </SimpleGrid>
          <Panel title="Refused candidates">
            <Refused decidedAt={view.decided_at} now={view.at} onSelect={select} variant={variant} />
          </Panel>
          <SimpleGrid columns={{ base: 1, lg: 2 }} gap={4}>
            <Panel title="Strength">
              <StrengthChart selected={selected} view={view} />
            </Panel>
            <Panel title="Losses">
              <Losses newest={view.models[0]?.generation} variant={variant} />
            </Panel>
          </SimpleGrid>
          <Panel title="Head to head">
            <Matchups fittedAt={view.fitted_at} variant={variant} />
          </Panel>
        </>
      )}
    </>
  );
};

const Champion = ({ onStarted, view }: { onStarted: (started: Schema<"Started">) => void; view: View }) => {
  const champion = view.models.find(({ digest }) => digest === view.champion);
  const former = view.models.find(({ digest }) => digest === view.previous_champion);
  if (champion === undefined) {
    return <Text color="fg.muted">{view.variant} has no champion yet.</Text>;
  }
  const player = view.models.find(({ digest }) => digest === view.generator);
  const formerName = former === undefined ? view.previous_champion?.slice(0, 12) : `generation ${former.generation}`;
  return (
    <Flex align="center" gap={4} justify="space-between" wrap="wrap">
      <Box>
        <Text fontSize="lg" fontWeight="semibold">
          Generation {champion.generation} is the champion{" "}
          <Text as="span" color="fg.muted" fontWeight="normal">
            <Figure
              interval={champion.stderr === null ? undefined : Z95 * champion.stderr}
              unit="Elo"
              value={champion.elo}
            />
          </Text>
        </Text>
        <Text color="fg.muted" fontSize="sm">
          Champion {view.champion_generation} of {view.variant};{" "}
          {view.fitted_at === null ? (
            "not rated yet"
          ) : (
            <>
              ratings of <Age at={view.fitted_at} now={view.at} />
            </>
          )}
          {player !== undefined && player !== champion ? `; self-play uses generation ${player.generation}` : ""}
          {view.approval_required ? "; each change needs a person's approval" : ""}
        </Text>
      </Box>
      {formerName === undefined || !view.may_roll_back ? undefined : (
        <ConfirmWithReason
          action="Roll back"
          onConfirm={async (reason) =>
            onStarted(await dataOf(api.POST("/api/models/roll_back", { body: { reason, variant: view.variant } })))
          }
          palette="red"
        >
          The DAG ringrift_rollback starts. It makes {formerName} the champion of {view.variant} again, in place of
          generation {champion.generation}, and sends it to every host.
        </ConfirmWithReason>
      )}
    </Flex>
  );
};

const StartedNotice = ({ started: { dag_id, run_id } }: { started: Schema<"Started"> }) => (
  <Alert.Root role="status" size="sm" status="info">
    <Alert.Indicator />
    <Alert.Content>
      <Alert.Title>
        {dag_id} has started.{" "}
        <Link href={page(`dags/${dag_id}/runs/${encodeURIComponent(run_id)}`)} variant="underline">
          Its run
        </Link>{" "}
        says what came of it.
      </Alert.Title>
    </Alert.Content>
  </Alert.Root>
);

const Question = ({ question, view }: { question: Schema<"OpenQuestion">; view: View }) => {
  const [dagId = "", ...rest] = question.run.split("/");
  const line = view.models.find(({ digest }) => digest === question.digest);
  const name = line === undefined ? question.digest.slice(0, 12) : `generation ${line.generation}`;
  return (
    <Alert.Root role="status" size="sm" status="warning">
      <Alert.Indicator />
      <Alert.Content>
        <Alert.Title>
          {question.kind === "rollback" ? `Going back to ${name}` : `The promotion of ${name}`} waits for a
          person&apos;s approval, since <Age at={question.asked_at} now={view.at} />.{" "}
          <Link
            href={page(`dags/${dagId}/runs/${encodeURIComponent(rest.join("/"))}/tasks/approve/required_actions`)}
            variant="underline"
          >
            Answer
          </Link>
        </Alert.Title>
      </Alert.Content>
    </Alert.Root>
  );
};

/** A page of Airflow, also when it is served below a path. */
const page = (path: string) => new URL(path, document.baseURI).href;

interface RefusedProps {
  decidedAt: number | null;
  now: number;
  onSelect: (digest: string, part: Part) => void;
  variant: string;
}

const Refused = ({ decidedAt, now, onSelect, variant }: RefusedProps) => {
  // Asked again when something was decided.
  const { data, error } = useLive(["refusals", variant, decidedAt], () =>
    api.GET("/api/models/refusals", { params: { query: { config: variant } } }),
  );
  return (
    <>
      <ErrorNotice error={error} />
      {data === undefined ? undefined : <Refusals now={now} onSelect={onSelect} refusals={data} />}
    </>
  );
};

const Losses = ({ newest, variant }: { newest: number | undefined; variant: string }) => {
  // Asked again when there is a newer model.
  const { data, error } = useLive(["losses", variant, newest], () =>
    api.GET("/api/models/losses", { params: { query: { config: variant } } }),
  );
  return (
    <>
      <ErrorNotice error={error} />
      {data === undefined ? undefined : <LossChart points={data} />}
    </>
  );
};

const Matchups = ({ fittedAt, variant }: { fittedAt: number | null; variant: string }) => {
  // Asked again when the ratings were fitted anew: then there are new matches.
  const { data, error } = useLive(["matchups", variant, fittedAt], () =>
    api.GET("/api/models/matchups", { params: { query: { config: variant } } }),
  );
  return (
    <>
      <ErrorNotice error={error} />
      {data === undefined ? undefined : <MatchupTable matchups={data} />}
    </>
  );
};
