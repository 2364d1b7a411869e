import { Box, Flex, Heading, List, SimpleGrid, Skeleton, Stack, Text } from "@chakra-ui/react";

import { type Schema, api, useLive } from "src/api/client";
import { ErrorNotice } from "src/components/ErrorNotice";
import { Panel } from "src/components/Panel";
import { Prose } from "src/components/Prose";
import { StateBadge } from "src/components/StateBadge";
import { clock, span } from "src/components/time";
import { VariantCards } from "src/pages/Overview/VariantCards";

/** Whether the loop is learning, what it does now, and what is wrong. */
export const Overview = () => {
  const { data, error } = useLive(["overview"], () => api.GET("/api/overview"), 4000);
  return (
    <Stack gap={4} maxWidth="90rem">
      <ErrorNotice error={error} />
      {data === undefined ? error === null && <Skeleton height="24rem" /> : <Content state={data} />}
    </Stack>
  );
};

const Content = ({ state }: { state: Schema<"LoopState"> }) => (
  <>
    <Box aria-live="polite" as="section">
      <Flex align="center" gap={3} mb={1} wrap="wrap">
        <StateBadge size="lg" state={state.state} />
        <Text color="fg.muted" fontSize="sm">
          at {clock(state.at)}
        </Text>
      </Flex>
      <Heading as="h1" lineHeight="short" size={{ base: "lg", md: "xl" }}>
        {state.sentence}
      </Heading>
      {state.remedy === null ? undefined : (
        <Text color="fg.muted" mt={1}>
          <Prose text={state.remedy} />
        </Text>
      )}
    </Box>
    {state.problems.length > 0 && (
      <Panel title="What is wrong">
        <List.Root gap={1} ps={5}>
          {state.problems.map((problem) => (
            <List.Item key={problem} overflowWrap="anywhere">
              {problem}
            </List.Item>
          ))}
        </List.Root>
      </Panel>
    )}
    <VariantCards now={state.at} variants={state.variants} />
    <SimpleGrid columns={{ base: 1, lg: 2 }} gap={4}>
      <Panel title="Running now">
        {state.running.length === 0 ? (
          <Text color="fg.muted">{state.runs ? "Nothing at the moment." : "The loop does not run."}</Text>
        ) : (
          <Stack gap={2}>
            {state.running.map(({ since, what }) => (
              <Flex gap={3} justify="space-between" key={what}>
                <Text>{what}</Text>
                {since === null ? undefined : (
                  <Text color="fg.muted" title={`since ${clock(since)}`} whiteSpace="nowrap">
                    for {span(state.at - since)}
                  </Text>
                )}
              </Flex>
            ))}
          </Stack>
        )}
      </Panel>
      <Panel title="Last events">
        {state.events.length === 0 ? (
          <Text color="fg.muted">Nothing has happened yet.</Text>
        ) : (
          <Stack as="ol" gap={1.5} listStyleType="none">
            {state.events.map((event) => (
              <Flex as="li" fontSize="sm" gap={3} key={event.id}>
                <Text color="fg.muted" flexShrink={0} minWidth="3.5rem">
                  {clock(event.at, state.at)}
                </Text>
                <Text color="fg.muted" display={{ base: "none", md: "block" }} flexShrink={0} width="6rem">
                  {event.kind}
                </Text>
                <Text overflowWrap="anywhere">{event.message}</Text>
              </Flex>
            ))}
          </Stack>
        )}
      </Panel>
    </SimpleGrid>
  </>
);
