/* SPDX-License-Identifier: BSD-3-Clause */
/* What a catalogue is made of. */
#ifndef DT2_CATALOG_CATALOG_H
#define DT2_CATALOG_CATALOG_H

#include "catalog/scan.h"
#include "catalog/search.h"

struct dt2_catalog {
    struct dt2_log log;
    struct dt2_sources sources;
    struct dt2_search search;
    struct dt2_scan scan;
    struct dt2_watch watch;
};

#endif
