import { Box, DataList, Flex, Heading, Link, Progress, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { NavLink } from "react-router-dom";

import { ROOT } from "src/Shell";
import type { Schema } from "src/api/client";
import { Age } from "src/components/Age";
import { Figure } from "src/components/Figure";
import { RatingChart } from "src/components/RatingChart";
import { StateBadge } from "src/components/StateBadge";
import { span, whole } from "src/components/time";

/** One variant: how strong, whether it gains, what it waits for, and the last verdict. */
export const VariantCard = ({ now, view }: { now: number; view: Schema<"VariantState"> }) => (
  <Flex as="article" borderRadius="md" borderWidth="1px" direction="column" gap={3} minWidth={0} p={{ base: 3, md: 4 }}>
    <Flex align="start" gap={3} justify="space-between">
      <Box>
        <Heading as="h2" size="sm">
          {view.variant}
        </Heading>
        <Text color="fg.muted" fontSize="sm">
          {view.champion === null ? (
            "no champion yet"
          ) : (
            <Link asChild color="fg.muted" variant="underline">
              <NavLink to={`${ROOT}/models?config=${view.variant}`}>
                champion {view.generation}, {view.champion.slice(0, 8)}
              </NavLink>
            </Link>
          )}
        </Text>
      </Box>
      <StateBadge state={view.state} />
    </Flex>
    <Flex align="baseline" gap={3} justify="space-between" wrap="wrap">
      <Text fontSize="2xl" fontWeight="semibold" lineHeight="1">
        <Figure interval={view.interval} unit="Elo" value={view.elo} />
      </Text>
      {view.gain === null ? undefined : (
        <Text fontSize="sm" title="Of the champion over the one of that time, by the last fit of the ratings">
          <Figure difference interval={view.gain.interval} value={view.gain.elo} /> last {view.gain.span}
        </Text>
      )}
    </Flex>
    <RatingChart height={88} series={[{ name: view.variant, points: view.ratings }]} small />
    <Progress.Root
      colorPalette="brand"
      max={view.threshold}
      size="xs"
      value={Math.min(view.pending, view.threshold)}
    >
      <Flex fontSize="sm" justify="space-between" mb={1}>
        <Progress.Label>Games for training</Progress.Label>
        <Text as="span" color="fg.muted">
          {whole(view.pending)} of {whole(view.threshold)}
          {view.full_in_s === null ? "" : `, ${span(view.full_in_s)} left`}
        </Text>
      </Flex>
      <Progress.Track>
        <Progress.Range />
      </Progress.Track>
    </Progress.Root>
    <DataList.Root gap={1.5} orientation="horizontal" size="sm">
      <Item label="Now">{view.doing}</Item>
      <Item label="Last decision">
        {view.last_decision === null ? (
          "none yet"
        ) : (
          <Box>
            <Flex align="center" gap={2} wrap="wrap">
              <StateBadge size="xs" state={view.last_decision.status} />
              <Age at={view.last_decision.at} now={now} />
            </Flex>
            <Text color="fg.muted" overflowWrap="anywhere">
              {view.last_decision.reason}
            </Text>
            <Link asChild color="fg.muted" variant="underline">
              <NavLink aria-label={`Refused candidates of ${view.variant}`} to={`${ROOT}/models?config=${view.variant}`}>
                refused candidates
              </NavLink>
            </Link>
          </Box>
        )}
      </Item>
      <Item label="Last promotion">
        <Age at={view.last_gain_at} now={now} />
      </Item>
      <Item label="Cost">
        {view.elo_per_core_hour === null ? (
          "not known yet"
        ) : (
          <>
            <Figure difference digits={1} interval={view.elo_per_core_hour_interval} value={view.elo_per_core_hour} /> Elo
            a core-hour of self-play, training and gates
          </>
        )}
      </Item>
      <Item label="Next day">
        {view.projection === null ? (
          "too few ratings to tell"
        ) : (
          <>
            <Figure difference interval={view.projection_interval} unit="Elo" value={view.projection} /> at this pace
          </>
        )}
      </Item>
      <Item label="Games">
        {whole(view.games)}, {whole(view.games_last_hour)} in the last hour
      </Item>
    </DataList.Root>
  </Flex>
);

const Item = ({ children, label }: { children: ReactNode; label: string }) => (
  <DataList.Item alignItems="start">
    <DataList.ItemLabel minWidth="6.5rem">{label}</DataList.ItemLabel>
    <DataList.ItemValue display="block" minWidth={0}>
      {children}
    </DataList.ItemValue>
  </DataList.Item>
);
