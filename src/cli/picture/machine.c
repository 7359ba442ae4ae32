/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine: a frame for each memory of the host, and in it the devices that are near, below one another where they are many. */
#include "cli/picture/picture.h"
#include "cli/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES_MOST 8
#define DEVICES_MOST 32 /* of those that are not the host's */
#define FRAME_GAP 12.0
#define INSET 10.0
#define BOX_HEIGHT 66.0
#define BOX_LEAST 215.0 /* its width */
#define LINK_HEIGHT 28.0
#define CAPTION_HEIGHT 13.0

/* Where everything is. */
struct laid {
    size_t hosts[FRAMES_MOST]; /* devices, one for each frame */
    size_t frames, columns;
    size_t members[DEVICES_MOST]; /* devices */
    size_t frame_of[DEVICES_MOST];
    size_t member_count;
    size_t left_out;
    double frame_width;
    size_t boxes; /* side by side */
    double caption; /* height of what names packages; 0: there is one */
    double heights[FRAMES_MOST];
};

static bool is_host(const struct dt2_device *device)
{
    return strcmp(device->kind, "host") == 0;
}

static bool is_node(const struct dt2_device *device)
{
    return is_host(device) && strncmp(device->name, "cpu:", 4) == 0;
}

/* The memories of the host: its nodes, or all of it where they are not told apart. */
static void find_hosts(const struct dt2_devices *devices, struct laid *laid)
{
    bool nodes = false;
    for (size_t i = 0; i < dt2_devices_count(devices); i++)
        nodes |= is_node(dt2_devices_get(devices, i));
    for (size_t i = 0; i < dt2_devices_count(devices); i++) {
        const struct dt2_device *device = dt2_devices_get(devices, i);
        if (!is_host(device) || is_node(device) != nodes)
            continue;
        if (laid->frames < FRAMES_MOST)
            laid->hosts[laid->frames++] = i;
        else
            laid->left_out++;
    }
}

/* Whether nodes belong to different packages, so that frames say which. */
static bool has_packages(const struct dt2_devices *devices, const struct laid *laid)
{
    bool several = false;
    for (size_t i = 1; i < laid->frames; i++)
        several |= dt2_devices_get(devices, laid->hosts[i])->package != dt2_devices_get(devices, laid->hosts[0])->package;
    return several;
}

static size_t frame_near(const struct dt2_devices *devices, const struct laid *laid, const struct dt2_device *device)
{
    for (size_t i = 0; i < laid->frames; i++)
        if (device->numa_node >= 0 && dt2_devices_get(devices, laid->hosts[i])->numa_node == device->numa_node)
            return i;
    return 0;
}

/* The share of a device; SIZE_MAX: it has none. */
static size_t share_of(const struct dt2_plan *plan, const char *device)
{
    for (size_t i = 0; i < dt2_plan_share_count(plan); i++)
        if (strcmp(dt2_plan_share(plan, i)->device, device) == 0)
            return i;
    return SIZE_MAX;
}

/* Those that have a part in the plan, then the others as far as there is room. */
static void find_members(const struct cli_planned *planned, struct laid *laid)
{
    for (int wanted = 1; wanted >= 0; wanted--)
        for (size_t i = 0; i < dt2_devices_count(planned->devices); i++) {
            const struct dt2_device *device = dt2_devices_get(planned->devices, i);
            bool takes_part = share_of(planned->plan, device->name) != SIZE_MAX ||
                              strcmp(device->name, dt2_plan_compute_device(planned->plan)) == 0;
            if (is_host(device) || takes_part != (wanted == 1))
                continue;
            if (laid->member_count == DEVICES_MOST) {
                laid->left_out++;
                continue;
            }
            laid->frame_of[laid->member_count] = frame_near(planned->devices, laid, device);
            laid->members[laid->member_count++] = i;
        }
}

/* Back into the order of the list. */
static void sort_members(struct laid *laid)
{
    for (size_t i = 1; i < laid->member_count; i++)
        for (size_t j = i; j > 0 && laid->members[j - 1] > laid->members[j]; j--) {
            size_t member = laid->members[j], frame = laid->frame_of[j];
            laid->members[j] = laid->members[j - 1];
            laid->frame_of[j] = laid->frame_of[j - 1];
            laid->members[j - 1] = member;
            laid->frame_of[j - 1] = frame;
        }
}

static void lay(const struct cli_planned *planned, struct laid *laid)
{
    *laid = (struct laid){ .frames = 0 };
    find_hosts(planned->devices, laid);
    find_members(planned, laid);
    sort_members(laid);
    laid->caption = has_packages(planned->devices, laid) ? CAPTION_HEIGHT : 0;
    size_t frames = laid->frames ? laid->frames : 1;
    laid->columns = frames < 4 ? frames : 4;
    laid->frame_width = (CLI_PICTURE_INNER - (double)(laid->columns - 1) * FRAME_GAP) / (double)laid->columns;
    laid->boxes = (size_t)((laid->frame_width - INSET) / (BOX_LEAST + INSET));
    laid->boxes = laid->boxes ? laid->boxes : 1;
    for (size_t i = 0; i < frames; i++) {
        size_t members = 0;
        for (size_t j = 0; j < laid->member_count; j++)
            members += laid->frame_of[j] == i;
        laid->heights[i] = laid->caption + 2 * INSET + BOX_HEIGHT + (double)((members + laid->boxes - 1) / laid->boxes) * (LINK_HEIGHT + BOX_HEIGHT);
    }
}

/* Of the frames that stand in one row. */
static double row_height(const struct laid *laid, size_t row)
{
    double most = 0;
    for (size_t i = row * laid->columns; i < (row + 1) * laid->columns && i < FRAMES_MOST; i++)
        most = laid->heights[i] > most ? laid->heights[i] : most;
    return most;
}

static size_t rows_of(const struct laid *laid)
{
    return ((laid->frames ? laid->frames : 1) + laid->columns - 1) / laid->columns;
}

double cli_picture_machine_height(const struct cli_planned *planned)
{
    struct laid laid;
    lay(planned, &laid);
    double height = CLI_PICTURE_HEADING;
    for (size_t i = 0; i < rows_of(&laid); i++)
        height += row_height(&laid, i) + FRAME_GAP;
    return height + (laid.left_out ? 14 : 0);
}

/* -- drawing */

/* What is used, what this plan takes, what stays free. */
static void draw_memory(struct cli_canvas *canvas, const struct dt2_device *device, uint64_t bytes, struct cli_paint paint, double x,
                        double y, double width)
{
    const struct cli_paint frame = { 0xFFFFFF, CLI_PICTURE_LINE, 0.8, false }, used = { 0xC8C8C8, CLI_NO_COLOUR, 0, false };
    cli_canvas_rectangle(canvas, x, y, width, 9, frame);
    if (device->total_bytes == DT2_UNKNOWN || device->total_bytes == 0)
        return;
    double total = (double)device->total_bytes, taken = 0;
    if (device->free_bytes < device->total_bytes)
        taken = width * (double)(device->total_bytes - device->free_bytes) / total;
    double share = width * (double)bytes / total;
    share = bytes > 0 && share < 1.5 ? 1.5 : share;
    share = share > width - taken ? width - taken : share;
    cli_canvas_rectangle(canvas, x, y, taken, 9, used);
    cli_canvas_rectangle(canvas, x + taken, y, share, 9, paint);
}

/* "341 MiB of 24.0 GiB, 23.1 free" */
static void draw_sizes(struct cli_canvas *canvas, const struct dt2_device *device, uint64_t bytes, double x, double y, double room)
{
    char size[CLI_NUMBER_SIZE], total[CLI_NUMBER_SIZE], left[CLI_NUMBER_SIZE];
    bool known = device->free_bytes != DT2_UNKNOWN;
    cli_canvas_text(canvas, x, y, room, cli_letters(9.5, CLI_PICTURE_INK, false), "%s of %s%s%s",
                    dt2_size_format(bytes, size, sizeof size), dt2_size_format(device->total_bytes, total, sizeof total),
                    known ? ", free " : "", known ? dt2_size_format(device->free_bytes, left, sizeof left) : "");
}

static void draw_box(struct cli_canvas *canvas, const struct cli_planned *planned, const struct dt2_device *device, double x, double y,
                     double width)
{
    const double height = BOX_HEIGHT;
    size_t share = share_of(planned->plan, device->name);
    uint64_t bytes = share == SIZE_MAX ? 0 : dt2_plan_share(planned->plan, share)->bytes;
    struct cli_paint paint = cli_share_paint(share == SIZE_MAX ? 0 : share);
    bool computes = strcmp(device->name, dt2_plan_compute_device(planned->plan)) == 0, takes_part = computes || bytes > 0;
    cli_canvas_rectangle(canvas, x, y, width, height,
                         (struct cli_paint){ takes_part ? 0xFFFFFF : 0xF4F4F4, computes ? 0x000000 : CLI_PICTURE_LINE,
                                             computes ? 2.0 : 1.0, false });
    double left = x + 8, room = width - 16;
    if (share != SIZE_MAX) {
        cli_canvas_rectangle(canvas, left, y + 7, 11, 11, paint);
        left += 17;
        room -= 17;
    }
    struct cli_letters name = cli_letters(12, takes_part ? CLI_PICTURE_INK : CLI_PICTURE_FAINT, true);
    cli_canvas_text(canvas, left, y + 17, room - 60, name, "%s", device->name);
    if (computes) {
        struct cli_letters right = { 9.5, CLI_PICTURE_INK, false, CLI_ALIGN_RIGHT };
        cli_canvas_text(canvas, x + width - 8, y + 17, 58, right, "computes");
    }
    cli_canvas_text(canvas, x + 8, y + 31, width - 16, cli_letters(9.5, CLI_PICTURE_FAINT, false), "%s%s%s",
                    device->pci ? device->pci + (strncmp(device->pci, "0000:", 5) == 0 ? 5 : 0) : "", device->pci ? "  " : "",
                    device->model ? device->model : is_host(device) ? "host memory" : "");
    draw_sizes(canvas, device, bytes, x + 8, y + height - 22, width - 16);
    draw_memory(canvas, device, bytes, paint, x + 8, y + height - 16, width - 16);
}

static const struct dt2_link *host_link(const struct dt2_device *device)
{
    for (size_t i = 0; i < device->link_count; i++)
        if (strcmp(device->links[i]->to, "cpu") == 0)
            return device->links[i];
    return NULL;
}

static bool lies_in_host(const struct dt2_device *device)
{
    for (size_t i = 0; i < device->budget_count; i++)
        if (strcmp(device->budgets[i], "cpu") == 0)
            return true;
    return false;
}

/* "PCIe 4.0 x16, 25.1 GB/s measured" */
static char *link_text(const struct dt2_device *device)
{
    const struct dt2_link *link = host_link(device);
    char rate[CLI_NUMBER_SIZE], pcie[CLI_NUMBER_SIZE] = "";
    if (link && link->pcie_generation && link->pcie_lanes)
        snprintf(pcie, sizeof pcie, "PCIe %u.0 x%u", link->pcie_generation, link->pcie_lanes);
    else if (lies_in_host(device))
        snprintf(pcie, sizeof pcie, "in host memory");
    bool measured = link && link->measured_gbps > 0;
    double gbps = measured ? link->measured_gbps : link ? link->nominal_gbps : -1;
    if (gbps <= 0)
        return cli_format("%s", *pcie ? pcie : "link unknown");
    return cli_format("%s%s%s%s", pcie, *pcie ? ", " : "", cli_rate(gbps, rate), measured ? " measured" : "");
}

/* From the host's memory down to each device: a line on the left, a branch to each row, and a stub to each box. */
static void draw_members(struct cli_canvas *canvas, const struct cli_planned *planned, const struct laid *laid, size_t frame, double x,
                         double top)
{
    double width = (laid->frame_width - INSET) / (double)laid->boxes - INSET, below = top + INSET + BOX_HEIGHT, trunk = x + 5;
    size_t drawn = 0;
    for (size_t i = 0; i < laid->member_count; i++) {
        if (laid->frame_of[i] != frame)
            continue;
        const struct dt2_device *device = dt2_devices_get(planned->devices, laid->members[i]);
        double row = below + (double)(drawn / laid->boxes) * (LINK_HEIGHT + BOX_HEIGHT);
        double left = x + INSET + (double)(drawn % laid->boxes) * (width + INSET), bus = row + LINK_HEIGHT / 2 - 6;
        double from = drawn % laid->boxes ? left - width + 8 : trunk;
        if (drawn % laid->boxes == 0)
            cli_canvas_line(canvas, trunk, top + INSET + BOX_HEIGHT / 2, trunk, bus, CLI_PICTURE_LINE, 1.5);
        cli_canvas_line(canvas, from, bus, left + 18, bus, CLI_PICTURE_LINE, 1.5);
        cli_canvas_line(canvas, left + 18, bus, left + 18, row + LINK_HEIGHT, CLI_PICTURE_LINE, 1.5);
        char *text = link_text(device);
        cli_canvas_text(canvas, left + 24, row + LINK_HEIGHT - 5, width - 28, cli_letters(9, CLI_PICTURE_FAINT, false), "%s", text);
        free(text);
        draw_box(canvas, planned, device, left, row + LINK_HEIGHT, width);
        drawn++;
    }
    if (laid->frames) /* the line ends at the host's box */
        cli_canvas_line(canvas, trunk, top + INSET + BOX_HEIGHT / 2, x + INSET, top + INSET + BOX_HEIGHT / 2, CLI_PICTURE_LINE,
                        drawn ? 1.5 : 0);
}

static void draw_package(struct cli_canvas *canvas, const struct cli_planned *planned, const struct laid *laid, size_t frame, double x,
                         double y)
{
    const struct dt2_device *host = laid->caption > 0 ? dt2_devices_get(planned->devices, laid->hosts[frame]) : NULL;
    if (host && host->package >= 0)
        cli_canvas_text(canvas, x, y, laid->frame_width - 2 * INSET, cli_letters(9.5, CLI_PICTURE_FAINT, false), "package %d",
                        host->package);
}

void cli_picture_machine(struct cli_canvas *canvas, const struct cli_planned *planned, double top)
{
    struct laid laid;
    lay(planned, &laid);
    cli_picture_heading(canvas, top, "Machine");
    top += CLI_PICTURE_HEADING;
    for (size_t i = 0; i < (laid.frames ? laid.frames : 1); i++) {
        size_t row = i / laid.columns;
        double x = CLI_PICTURE_MARGIN + (double)(i % laid.columns) * (laid.frame_width + FRAME_GAP), y = top;
        for (size_t j = 0; j < row; j++)
            y += row_height(&laid, j) + FRAME_GAP;
        cli_canvas_rectangle(canvas, x, y, laid.frame_width, row_height(&laid, row),
                             (struct cli_paint){ 0xFAFAF7, CLI_PICTURE_LINE, 1, false });
        draw_package(canvas, planned, &laid, i, x + INSET, y + CAPTION_HEIGHT);
        y += laid.caption;
        if (laid.frames)
            draw_box(canvas, planned, dt2_devices_get(planned->devices, laid.hosts[i]), x + INSET, y + INSET,
                     laid.frame_width - 2 * INSET);
        draw_members(canvas, planned, &laid, i, x, y);
    }
    double bottom = top + cli_picture_machine_height(planned) - CLI_PICTURE_HEADING;
    if (laid.left_out)
        cli_canvas_text(canvas, CLI_PICTURE_MARGIN, bottom - 4, CLI_PICTURE_INNER, cli_letters(9.5, CLI_PICTURE_FAINT, false),
                        "and %zu more memories, which are not drawn", laid.left_out);
}
