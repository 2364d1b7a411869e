import { Box, Flex, Text } from "@chakra-ui/react";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";

import { type Schema, api, dataOf } from "src/api/client";
import { Age } from "src/components/Age";
import { ErrorNotice } from "src/components/ErrorNotice";

const EVERY_MS = 2000;

/** The end of a job's log, asked for again and again; only what is new is sent. It stays at its end unless scrolled. */
export const JobLog = ({ job, now }: { job: Schema<"JobLine">; now: number }) => {
  const last = useRef<Schema<"LogTail">>(undefined);
  const { data, error } = useQuery<Schema<"LogTail">, Error>({
    queryFn: async () => {
      const tail = await dataOf(
        api.GET("/api/jobs/{job_id}/log", {
          params: { path: { job_id: job.id }, query: { after: last.current?.token ?? "" } },
        }),
      );
      last.current = tail.text === null ? { ...tail, text: last.current?.text ?? "" } : tail;
      return last.current;
    },
    queryKey: ["job log", job.id],
    refetchInterval: job.active ? EVERY_MS : false,
  });
  const box = useRef<HTMLPreElement>(null);
  const atEnd = useRef(true);
  useEffect(() => {
    if (atEnd.current && box.current !== null) {
      box.current.scrollTop = box.current.scrollHeight;
    }
  }, [data?.text]);
  return (
    <Box>
      <ErrorNotice error={error} />
      <Flex color="fg.muted" fontSize="sm" gap={2} justify="space-between" mb={1} wrap="wrap">
        <Text>
          {job.id} on {job.host}
        </Text>
        <Text>
          {data?.changed_at == null ? undefined : (
            <>
              last heard of <Age at={data.changed_at} now={now} />
            </>
          )}
        </Text>
      </Flex>
      <Box
        aria-label={`Log of ${job.id}`}
        as="pre"
        bg="bg.subtle"
        borderRadius="md"
        borderWidth="1px"
        fontFamily="mono"
        fontSize="xs"
        maxHeight="24rem"
        onScroll={({ currentTarget: { clientHeight, scrollHeight, scrollTop } }) => {
          atEnd.current = scrollHeight - scrollTop - clientHeight < 8;
        }}
        overflow="auto"
        overflowWrap="anywhere"
        p={3}
        ref={box}
        role="log"
        tabIndex={0}
        whiteSpace="pre-wrap"
      >
        {data === undefined ? "" : data.text || "Nothing was heard of this job yet."}
      </Box>
    </Box>
  );
};
