import { Box, Flex, Heading } from "@chakra-ui/react";
import type { ReactNode } from "react";

/** A part of a page under its own heading. */
export const Panel = ({ children, right, title }: { children: ReactNode; right?: ReactNode; title: string }) => (
  <Box as="section" borderRadius="md" borderWidth="1px" minWidth={0} p={{ base: 3, md: 4 }}>
    <Flex align="center" gap={3} justify="space-between" mb={3}>
      <Heading as="h2" size="sm">
        {title}
      </Heading>
      {right}
    </Flex>
    {children}
  </Box>
);
