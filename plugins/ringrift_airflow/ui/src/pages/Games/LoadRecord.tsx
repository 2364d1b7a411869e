import { Button, Field, Flex, Heading, Input, Link, Stack, Text, Textarea } from "@chakra-ui/react";
import { useState } from "react";
import { NavLink, Navigate, useNavigate } from "react-router-dom";

import { ROOT } from "src/Shell";
import { type Schema, api, dataOf } from "src/api/client";
import { patiently } from "src/api/patient";
import { ErrorNotice } from "src/components/ErrorNotice";
import { Replay } from "src/pages/Games/Replay";

/** The game that was loaded last; it outlives the component, and nothing else keeps it. */
let loaded: Schema<"Replay"> | undefined;

const EXAMPLE = '{"variant": "square8_2p", "moves": "PL:3,3x2 MV:3,3>3,5"}';

/** A record of one's own: checked move by move, and shown like a stored game. */
export const LoadRecord = () => {
  const [text, setText] = useState("");
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const navigate = useNavigate();
  const load = async () => {
    setBusy(true);
    setError(null);
    try {
      loaded = (await patiently(() => dataOf(api.POST("/api/games/load", { body: { text } })))) as Schema<"Replay">;
      await navigate(`${ROOT}/games/own`);
    } catch (failure) {
      setError(failure instanceof Error ? failure : new Error(String(failure)));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Stack gap={4} maxWidth="48rem">
      <Flex align="baseline" justify="space-between">
        <Heading as="h1" size="lg">
          Load a record
        </Heading>
        <Link asChild fontSize="sm">
          <NavLink to={`${ROOT}/games`}>All games</NavLink>
        </Link>
      </Flex>
      <Text color="fg.muted">
        A record as Download gives it, or a JSON object with the variant and the moves in the text form of the rules (docs/3-rules.md
        18). The game may be unfinished. Nothing of it is kept.
      </Text>
      {error === null ? undefined : <ErrorNotice error={error} remedy="The record was not loaded; mend it and try again." />}
      <Field.Root>
        <Field.Label>File</Field.Label>
        <Input
          accept=".json,.jsonl,.txt,application/json"
          onChange={(event) => void event.target.files?.[0]?.text().then(setText)}
          p={1}
          type="file"
        />
      </Field.Root>
      <Field.Root>
        <Field.Label>Or text</Field.Label>
        <Textarea
          fontFamily="mono"
          fontSize="sm"
          onChange={(event) => setText(event.target.value)}
          placeholder={EXAMPLE}
          rows={8}
          value={text}
        />
      </Field.Root>
      <Button alignSelf="start" colorPalette="brand" disabled={text.trim() === ""} loading={busy} onClick={() => void load()}>
        Show the game
      </Button>
    </Stack>
  );
};

export const OwnGame = () =>
  loaded === undefined ? (
    <Navigate replace to={`${ROOT}/games/load`} />
  ) : (
    <>
      <Flex align="baseline" columnGap={3} mb={3} wrap="wrap">
        <Heading as="h1" size="lg">
          {loaded.name}
        </Heading>
        <Text color="fg.muted">{loaded.shape.variant}, a record of your own</Text>
        <Link asChild fontSize="sm" ms="auto">
          <NavLink to={`${ROOT}/games/load`}>Load another</NavLink>
        </Link>
      </Flex>
      <Replay game={loaded} />
    </>
  );
