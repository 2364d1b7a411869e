import { Button, Flex, Heading, Link, Text } from "@chakra-ui/react";
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
            {data.player === null ? "" : `, played by ${playerOf({ player: data.player })}`}
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
      {data !== undefined && <Replay game={data} linked />}
    </>
  );
};
