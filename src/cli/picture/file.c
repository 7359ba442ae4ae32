/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/picture/canvas.h"
#include "cli/report.h"
#include "cli/text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static int kind_of(const char *path, enum cli_picture_kind *kind, struct dt2_error *err)
{
    static const char *const suffixes[] = { ".svg", ".png", ".pdf" };
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (length > 4 && strcasecmp(path + length - 4, suffixes[i]) == 0) {
            *kind = (enum cli_picture_kind)i;
            if (*kind == CLI_PICTURE_SVG || cli_canvas_cairo)
                return 0;
            cli_fail(err, DT2_EUSAGE, "--picture %s: this distorch2 was built without cairo, and writes SVG alone", path);
            return cli_suggest(err, "--picture %.*s.svg", (int)(length - 4), path);
        }
    cli_fail(err, DT2_EUSAGE, "--picture %s: no kind of picture that is known", path);
    return cli_suggest(err, "a name that ends with .svg%s", cli_canvas_cairo ? ", .png or .pdf" : "");
}

int cli_picture_open(const char *path, struct cli_picture *picture, struct dt2_error *err)
{
    *picture = (struct cli_picture){ .file = NULL };
    int rc = kind_of(path, &picture->kind, err);
    if (rc < 0)
        return rc;
    struct stat there;
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode))
        return cli_fail(err, DT2_EFAILED, "--picture %s: no ordinary file", path);
    picture->path = cli_format("%s", path);
    picture->partial = cli_format("%s.%ld", path, (long)getpid());
    int fd = open(picture->partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    picture->file = fd < 0 ? NULL : fdopen(fd, "wb");
    if (picture->file)
        return 0;
    rc = cli_fail(err, DT2_EFAILED, "--picture %s: %s", path, strerror(errno));
    if (fd >= 0) {
        close(fd);
        unlink(picture->partial);
    }
    cli_picture_drop(picture);
    return rc;
}

int cli_picture_keep(struct cli_picture *picture, struct dt2_error *err)
{
    bool written = fflush(picture->file) == 0 && !ferror(picture->file);
    int code = errno;
    bool closed = fclose(picture->file) == 0;
    picture->file = NULL;
    if (written && closed && rename(picture->partial, picture->path) == 0)
        return 0;
    code = written ? errno : code;
    unlink(picture->partial);
    return cli_fail(err, DT2_EFAILED, "--picture %s: %s", picture->path, strerror(code));
}

void cli_picture_drop(struct cli_picture *picture)
{
    if (picture->file) {
        fclose(picture->file);
        unlink(picture->partial);
    }
    free(picture->path);
    free(picture->partial);
    *picture = (struct cli_picture){ .file = NULL };
}
