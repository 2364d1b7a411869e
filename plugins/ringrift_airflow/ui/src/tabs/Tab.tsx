/** The tab of a DAG, a run or a task: the sentence about the loop, and the part of the pages that fits the DAG. */
import { Box, Link, Stack, Status, Text } from "@chakra-ui/react";
import type { ComponentType } from "react";
import { Link as RouterLink } from "react-router-dom";

import type { Ids } from "src/App";
import { ROOT } from "src/Shell";
import { api, useLive } from "src/api/client";
import { ErrorNotice } from "src/components/ErrorNotice";
import { paletteOf } from "src/components/StateBadge";
import { MachineTable } from "src/pages/Control/MachineTable";
import { VariantCards } from "src/pages/Overview/VariantCards";
import { Trainings } from "src/tabs/Trainings";

const Machines = () => {
  const { data, error } = useLive(["control"], () => api.GET("/api/control"), 5000);
  return (
    <>
      <ErrorNotice error={error} />
      {data === undefined ? undefined : <MachineTable machines={data.machines} now={data.at} />}
    </>
  );
};

const Variants = () => {
  const { data } = useLive(["overview"], () => api.GET("/api/overview"), 5000);
  return data === undefined ? undefined : <VariantCards now={data.at} variants={data.variants} />;
};

/** What each DAG is about; of others there is only the sentence. */
const PARTS: Record<string, ComponentType<Ids>> = {
  ringrift_curriculum_rebalance: Variants,
  ringrift_data_sync: Machines,
  ringrift_deploy: Machines,
  ringrift_full_tournament: Variants,
  ringrift_promote: Variants,
  ringrift_regression_gate: Variants,
  ringrift_resource_rebalance: Machines,
  ringrift_rollback: Variants,
  ringrift_selfplay: Machines,
  ringrift_shadow_tournament: Variants,
  ringrift_training: Trainings,
  ringrift_training_wait: Variants,
};

export const Tab = (ids: Ids) => {
  const { data, error } = useLive(["overview"], () => api.GET("/api/overview"), 5000);
  const Part = PARTS[ids.dagId ?? ""];
  return (
    <Box height="100%" id="ringrift" overflowY="auto" p={{ base: 3, md: 4 }} tabIndex={0}>
      <Stack gap={4}>
        <ErrorNotice error={error} />
        {data === undefined ? undefined : (
          <Text>
            <Status.Root colorPalette={paletteOf(data.state)} me={2}>
              <Status.Indicator />
            </Status.Root>
            <Link asChild variant="underline">
              <RouterLink to={ROOT}>{data.sentence}</RouterLink>
            </Link>
          </Text>
        )}
        {Part === undefined ? undefined : <Part {...ids} />}
      </Stack>
    </Box>
  );
};
