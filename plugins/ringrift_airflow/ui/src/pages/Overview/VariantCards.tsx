import { SimpleGrid } from "@chakra-ui/react";

import type { Schema } from "src/api/client";
import { VariantCard } from "src/pages/Overview/VariantCard";

/** All variants, side by side where there is room. */
export const VariantCards = ({ now, variants }: { now: number; variants: Schema<"VariantState">[] }) => (
  <SimpleGrid gap={4} minChildWidth={{ base: "100%", md: "20rem" }}>
    {variants.map((variant) => (
      <VariantCard key={variant.variant} now={now} view={variant} />
    ))}
  </SimpleGrid>
);
