/** The frame of all pages: their tabs above, the page below. */
import { Box, Flex } from "@chakra-ui/react";
import { NavLink, Navigate, Route, Routes } from "react-router-dom";

import { PAGES } from "src/pages";

/** Where Airflow puts the page: `url_route` in plugin.py. */
export const ROOT = "/plugin/ringrift";

export const Shell = () => (
  <Flex direction="column" height="100%" id="ringrift" minWidth={0}>
    <Flex
      aria-label="Pages of the loop"
      as="nav"
      borderBottomWidth="1px"
      flexShrink={0}
      gap={1}
      overflowX="auto"
      px={{ base: 2, md: 4 }}
    >
      {PAGES.map(({ label, path }) => (
        <Tab end={path === ""} key={path} label={label} to={path === "" ? ROOT : `${ROOT}/${path}`} />
      ))}
    </Flex>
    <Box
      aria-label="Page"
      flexGrow={1}
      minHeight={0}
      overflowY="auto"
      p={{ base: 3, md: 5 }}
      role="region"
      tabIndex={0} // scrolls by the keyboard
    >
      <Routes>
        {PAGES.map(({ Page, path }) => (
          <Route element={<Page />} key={path} path={path === "" ? "/" : `${path}/*`} />
        ))}
        <Route element={<Navigate replace to={ROOT} />} path="*" />
      </Routes>
    </Box>
  </Flex>
);

const Tab = ({ end, label, to }: { end: boolean; label: string; to: string }) => (
  <Box
    asChild
    borderBottomWidth="2px"
    borderColor="transparent"
    color="fg.muted"
    css={{ "&[aria-current=page]": { borderColor: "brand.solid", color: "fg", fontWeight: "semibold" } }}
    flexShrink={0}
    fontSize="sm"
    px={3}
    py={2.5}
    _hover={{ color: "fg" }}
  >
    <NavLink end={end} to={to}>
      {label}
    </NavLink>
  </Box>
);
