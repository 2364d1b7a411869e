import { Button, Flex, Heading, Link, Text } from "@chakra-ui/react";
import { useQuery } from "@tanstack/react-query";
import { Fragment } from "react";
import { NavLink, useParams } from "react-router-dom";

import { ROOT } from "src/Shell";
import { type Schema, api, dataOf } from "src/api/client";
import { usePatient } from "src/api/patient";
import { ErrorNotice } from "src/components/ErrorNotice";
import { playerOf } from "src/pages/Games/GameList";
import { Replay } from "src/pages/Games/Replay";

/** A game of the ledger. */
export const StoredGame = () => {
  const { id = "" } = useParams();
  const { data, error, waitsFor } = usePatient({
    queryFn: async () =>
      (await dataOf(api.GET("/api/games/{game_id}", { params: { path: { game_id: id } } }))) as Schema<"Replay">,
    queryKey: ["game", id],
  });
  return (
    <>
      <Flex align="baseline" columnGap={3} mb={3} wrap="wrap">
        <Heading as="h1" size="lg">
          Game {id.slice(0, 8)}
        </Heading>
        {data !== undefined && (
          <Text color="fg.muted">
            {data.shape.variant}
          </Text>
        )}
        <Flex gap={2} ms="auto">
          <Button asChild size="xs" variant="outline">
            <a download href={new URL(`ringrift/api/games/${id}/record`, document.baseURI).href}>
              Download
            </a>
          </Button>
          <Link asChild fontSize="sm">
            <NavLink to={`${ROOT}/games`}>All games</NavLink>
          </Link>
        </Flex>
      </Flex>
      <ErrorNotice error={error} />
      {waitsFor !== undefined && <Text role="status">{waitsFor}</Text>}
      <Origin id={id} />
      {data !== undefined && <Replay game={data} linked />}
    </>
  );
};

/** Where the game was played and which models learned from it. */
const Origin = ({ id }: { id: string }) => {
  const { data } = useQuery({
    queryFn: () => dataOf(api.GET("/api/games/{game_id}/lineage", { params: { path: { game_id: id } } })),
    queryKey: ["game lineage", id],
  });
  if (data === undefined) {
    return undefined;
  }
  const learned = data.windows.filter(({ model }) => model !== null);
  return (
    <Text color="fg.muted" fontSize="sm" mb={3}>
      Played on {data.host} by{" "}
      {data.player_model === null ? (
        playerOf(data)
      ) : (
        <ToModel digest={data.player} generation={data.player_model.generation} variant={data.player_model.variant} />
      )}
      ;{" "}
      {learned.length === 0
        ? data.windows.length === 0
          ? "no training has used it yet."
          : "no model has come of a training with it yet."
        : "learned from it: "}
      {learned.map(({ generation, model, run }, index) => (
        <Fragment key={run}>
          {index > 0 ? ", " : ""}
          <ToModel digest={model!} generation={generation} variant={data.variant} />
        </Fragment>
      ))}
    </Text>
  );
};

const ToModel = ({ digest, generation, variant }: { digest: string; generation: number | null; variant: string }) => (
  <Link asChild colorPalette="brand" variant="underline">
    <NavLink to={`${ROOT}/models?config=${variant}&model=${digest}`}>
      {generation === null ? digest.slice(0, 8) : `generation ${generation}`}
    </NavLink>
  </Link>
);
