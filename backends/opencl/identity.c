/* SPDX-License-Identifier: BSD-3-Clause */
#include "opencl.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Queries of extensions, by number: headers of different ages know different ones of them. */
enum {
    DEVICE_UUID = 0x106A,     /* cl_khr_device_uuid */
    DEVICE_PCI_BUS_INFO = 0x410F, /* cl_khr_pci_bus_info */
    NV_PCI_BUS_ID = 0x4008,   /* cl_nv_device_attribute_query */
    NV_PCI_SLOT_ID = 0x4009,
    NV_PCI_DOMAIN_ID = 0x400A,
    AMD_TOPOLOGY = 0x4037,    /* cl_amd_device_attribute_query */
    AMD_BOARD_NAME = 0x4038,
    AMD_GLOBAL_FREE_MEMORY = 0x4039,
};

struct pci_bus_info { /* cl_device_pci_bus_info_khr */
    cl_uint domain, bus, device, function;
};

struct amd_topology { /* cl_device_topology_amd */
    cl_uint type;
    unsigned char unused[17], bus, device, function;
};
#define AMD_TOPOLOGY_PCIE 1

/* One value of fixed size; false when the device tells none, or one of another size. */
static bool value(cl_device_id id, cl_uint what, void *out, size_t size)
{
    size_t given = 0;
    return clGetDeviceInfo(id, what, size, out, &given) == CL_SUCCESS && given == size;
}

/* The text under a number, NUL-terminated whatever the runtime does. */
char *dt2_cl_text(const struct dt2_cl_driver *driver, cl_platform_id platform, cl_device_id device, cl_uint what)
{
    size_t size = 0;
    cl_int code = device ? clGetDeviceInfo(device, what, 0, NULL, &size)
                         : clGetPlatformInfo(platform, what, 0, NULL, &size);
    if (code != CL_SUCCESS)
        size = 0;
    char *text = dt2_cl_alloc(driver, size + 1);
    if (!text || size == 0)
        return text;
    code = device ? clGetDeviceInfo(device, what, size, text, NULL)
                  : clGetPlatformInfo(platform, what, size, text, NULL);
    text[code == CL_SUCCESS ? size : 0] = '\0';
    return text;
}

/* Copies a name: blanks and control characters become single spaces, none at the ends; cut at a whole character. */
static void copy_name(char *out, size_t size, const char *text)
{
    size_t used = 0;
    for (; *text && used + 1 < size; text++) {
        bool blank = (unsigned char)*text <= ' ';
        if (!blank)
            out[used++] = *text;
        else if (used > 0 && out[used - 1] != ' ')
            out[used++] = ' ';
    }
    if (*text) /* cut: back to the last character that is whole */
        while (used > 0 && ((unsigned char)*text & 0xC0) == 0x80)
            text--, used--;
    while (used > 0 && out[used - 1] == ' ')
        used--;
    out[used] = '\0';
}

static int copy_text(const struct dt2_cl_driver *driver, const struct dt2_cl_seen *seen, cl_uint what, char *out,
                     size_t size)
{
    char *text = dt2_cl_text(driver, seen->platform, seen->id, what);
    if (!text)
        return DT2_BACKEND_NOMEM;
    copy_name(out, size, text);
    dt2_cl_release(driver, text);
    return DT2_BACKEND_OK;
}

/* Whether a list of words holds one. */
static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += length)
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

static bool has_extension(const struct dt2_cl_driver *driver, const struct dt2_cl_seen *seen, const char *name)
{
    char *list = dt2_cl_text(driver, seen->platform, seen->id, CL_DEVICE_EXTENSIONS);
    bool has = list && has_word(list, name);
    dt2_cl_release(driver, list);
    return has;
}

/* Where the device is plugged in, by the first way that it offers; false when it offers none. */
static bool pci_address(cl_device_id id, const char *extensions, struct pci_bus_info *pci)
{
    struct amd_topology amd;
    cl_uint slot;
    if (has_word(extensions, "cl_khr_pci_bus_info") && value(id, DEVICE_PCI_BUS_INFO, pci, sizeof *pci))
        return true;
    if (has_word(extensions, "cl_nv_device_attribute_query") && value(id, NV_PCI_BUS_ID, &pci->bus, sizeof pci->bus) &&
        value(id, NV_PCI_SLOT_ID, &slot, sizeof slot)) {
        pci->device = slot >> 3; /* a slot is what Linux calls devfn */
        pci->function = slot & 7;
        if (!value(id, NV_PCI_DOMAIN_ID, &pci->domain, sizeof pci->domain))
            pci->domain = 0;
        return true;
    }
    if (has_word(extensions, "cl_amd_device_attribute_query") && value(id, AMD_TOPOLOGY, &amd, sizeof amd) &&
        amd.type == AMD_TOPOLOGY_PCIE) {
        *pci = (struct pci_bus_info){ .bus = amd.bus, .device = amd.device, .function = amd.function };
        return dt2_cl_amd_domain(pci->bus, pci->device, pci->function, &pci->domain);
    }
    return false;
}

static void fill_identity(cl_device_id id, const char *extensions, struct dt2_backend_device_info *info)
{
    struct pci_bus_info pci;
    if (pci_address(id, extensions, &pci))
        snprintf(info->pci, sizeof info->pci, "%04x:%02x:%02x.%x", pci.domain, pci.bus & 0xff, pci.device & 0xff,
                 pci.function & 7);

    unsigned char uuid[16], none[16] = { 0 };
    if (!has_word(extensions, "cl_khr_device_uuid") || !value(id, DEVICE_UUID, uuid, sizeof uuid) ||
        memcmp(uuid, none, sizeof uuid) == 0)
        return;
    char *out = info->uuid;
    for (size_t i = 0; i < sizeof uuid; i++)
        out += sprintf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

static const char *kind_of(cl_device_type type)
{
    return type & CL_DEVICE_TYPE_GPU ? "gpu" : type & CL_DEVICE_TYPE_CPU ? "cpu" : "accelerator";
}

static cl_device_type type_of(cl_device_id id)
{
    cl_device_type type = 0;
    return value(id, CL_DEVICE_TYPE, &type, sizeof type) ? type : 0;
}

unsigned dt2_cl_flags(cl_device_id id)
{
    cl_bool unified = CL_FALSE;
    if (!value(id, CL_DEVICE_HOST_UNIFIED_MEMORY, &unified, sizeof unified))
        unified = CL_FALSE;
    return unified || (type_of(id) & CL_DEVICE_TYPE_CPU) ? DT2_DEVICE_SHARES_HOST : 0;
}

static uint64_t total_bytes(cl_device_id id)
{
    cl_ulong total = 0;
    return value(id, CL_DEVICE_GLOBAL_MEM_SIZE, &total, sizeof total) && total ? total : DT2_UNKNOWN;
}

uint64_t dt2_cl_max_alloc_bytes(cl_device_id id)
{
    cl_ulong bytes = 0;
    return value(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, &bytes, sizeof bytes) && bytes ? bytes : total_bytes(id);
}

/* The device gives bits; what is no power of two is rounded up to one. */
static uint64_t alignment_bytes(cl_device_id id)
{
    cl_uint bits = 0;
    if (!value(id, CL_DEVICE_MEM_BASE_ADDR_ALIGN, &bits, sizeof bits))
        bits = 0;
    uint64_t alignment = 1;
    while (alignment < bits / 8)
        alignment *= 2;
    return alignment;
}

/* A platform is the maker's own when both bear one name: not so PoCL, rusticl or clvk, which serve others' devices. */
static int fill_names(const struct dt2_cl_driver *driver, const struct dt2_cl_seen *seen, const char *extensions,
                      struct dt2_backend_device_info *info)
{
    char *vendor = dt2_cl_text(driver, seen->platform, NULL, CL_PLATFORM_VENDOR);
    if (!vendor)
        return DT2_BACKEND_NOMEM;
    char platform_vendor[sizeof info->vendor];
    copy_name(platform_vendor, sizeof platform_vendor, vendor);
    dt2_cl_release(driver, vendor);
    copy_name(info->platform, sizeof info->platform, seen->platform_name);
    if (copy_text(driver, seen, CL_DEVICE_VENDOR, info->vendor, sizeof info->vendor) ||
        copy_text(driver, seen, CL_DEVICE_NAME, info->model, sizeof info->model))
        return DT2_BACKEND_NOMEM;
    info->native_platform = info->vendor[0] && strcasecmp(info->vendor, platform_vendor) == 0;

    char board[sizeof info->model]; /* "AMD Radeon RX 7900 XTX", where the name is "gfx1100" */
    if (!has_word(extensions, "cl_amd_device_attribute_query"))
        return DT2_BACKEND_OK;
    if (copy_text(driver, seen, AMD_BOARD_NAME, board, sizeof board))
        return DT2_BACKEND_NOMEM;
    if (board[0])
        memcpy(info->model, board, sizeof board);
    return DT2_BACKEND_OK;
}

static const struct dt2_cl_seen *seen_at(const struct dt2_cl_driver *driver, uint32_t index,
                                         struct dt2_backend_error *err)
{
    if (index < driver->seen_count)
        return &driver->seen[index];
    DT2_CL_INVALID(driver, err, "no device %u: there are %u", index, driver->seen_count);
    return NULL;
}

int dt2_cl_device_info(void *self, uint32_t index, struct dt2_backend_device_info *info, struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_driver *driver = self;
    const struct dt2_cl_seen *seen = seen_at(driver, index, err);
    if (!seen)
        return DT2_BACKEND_INVALID;
    struct dt2_backend_device_info found = {
        .struct_size = info->struct_size,
        .flags = dt2_cl_flags(seen->id),
        .total_bytes = total_bytes(seen->id),
        .alignment_bytes = alignment_bytes(seen->id),
        .max_alloc_bytes = dt2_cl_max_alloc_bytes(seen->id),
    };
    snprintf(found.kind, sizeof found.kind, "%s", kind_of(type_of(seen->id)));
    char *extensions = dt2_cl_text(driver, seen->platform, seen->id, CL_DEVICE_EXTENSIONS);
    int status = extensions ? fill_names(driver, seen, extensions, &found) : DT2_BACKEND_NOMEM;
    if (status == DT2_BACKEND_OK)
        fill_identity(seen->id, extensions, &found);
    dt2_cl_release(driver, extensions);
    if (status != DT2_BACKEND_OK)
        return dt2_cl_fail_bookkeeping(driver, err);
    *info = found;
    return DT2_BACKEND_OK;
}

bool dt2_cl_tells_free(const struct dt2_cl_driver *driver, const struct dt2_cl_seen *seen)
{
    return has_extension(driver, seen, "cl_amd_device_attribute_query");
}

uint64_t dt2_cl_free_bytes(cl_device_id id)
{
    size_t kib[2], given = 0; /* free in all, and the largest free block, which some do not tell */
    bool known = clGetDeviceInfo(id, AMD_GLOBAL_FREE_MEMORY, sizeof kib, kib, &given) == CL_SUCCESS &&
                 given >= sizeof kib[0];
    return known ? (uint64_t)kib[0] * 1024 : DT2_UNKNOWN;
}

int dt2_cl_device_free_bytes(void *self, uint32_t index, bool may_open, uint64_t *free_bytes,
                             struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    (void)may_open; /* a context would tell no more */
    struct dt2_cl_driver *driver = self;
    const struct dt2_cl_seen *seen = seen_at(driver, index, err);
    if (!seen)
        return DT2_BACKEND_INVALID;
    *free_bytes = dt2_cl_tells_free(driver, seen) ? dt2_cl_free_bytes(seen->id) : DT2_UNKNOWN;
    return DT2_BACKEND_OK;
}
