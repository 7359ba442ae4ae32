/* SPDX-License-Identifier: BSD-3-Clause */
/* What often stands in the place of a model file, and is called what it is. */
#include "base/checked.h"
#include "formats/format.h"
#include <string.h>

/* Whatever the case, and behind white space and the mark that some editors begin a text with. */
static bool begins_with(const struct dt2_head *head, const char *text)
{
    static const unsigned char mark[] = { 0xEF, 0xBB, 0xBF };
    size_t at = head->length > sizeof mark && memcmp(head->bytes, mark, sizeof mark) == 0 ? sizeof mark : 0, i = 0;
    while (at < head->length && strchr(" \t\r\n", head->bytes[at]) && head->bytes[at])
        at++;
    while (text[i] && at + i < head->length && (head->bytes[at + i] | 0x20) == ((unsigned char)text[i] | 0x20))
        i++;
    return text[i] == '\0';
}

/* Where a symbolic link leads, as text, and nothing else. */
static bool is_link_text(const struct dt2_head *head)
{
    bool printable = head->file_bytes == head->length && head->length > 3 && memcmp(head->bytes, "../", 3) == 0;
    for (size_t i = 0; printable && i < head->length; i++)
        printable = head->bytes[i] > ' ' && head->bytes[i] < 0x7F;
    return printable;
}

/* What is often found in the place of a model, by its beginning. */
static const struct {
    const char *begins, *what, *advice;
} mistakes[] = {
    { "version https://git-lfs.github.com/spec/", "a Git LFS pointer, which stands for the file, was left in its place",
      "fetch the file itself: git lfs pull" },
    { "/annex/objects/", "a git-annex pointer, which stands for the file, was left in its place",
      "fetch the file itself: git annex get" },
    { "<!doctype html", "a web page was saved instead of the file",
      "download the file itself; a page that asks to log in or to accept terms comes in its place" },
    { "<html", "a web page was saved instead of the file",
      "download the file itself; a page that asks to log in or to accept terms comes in its place" },
    { "<?xml", "a server's message in XML was saved instead of the file", "read what it says, and download the file again" },
};

const char *dt2_head_mistaken(const struct dt2_head *head, const char **advice)
{
    for (size_t i = 0; i < DT2_COUNT(mistakes); i++) {
        *advice = mistakes[i].advice;
        if (begins_with(head, mistakes[i].begins))
            return mistakes[i].what;
    }
    if (is_link_text(head)) {
        *advice = "copy it again as it is, with its links (cp -a, rsync -a), or give the file that it names";
        return "the text of a symbolic link stands in its place: the links were lost when it was copied";
    }
    for (size_t i = 0; i < head->length; i++)
        if (head->bytes[i] != 0)
            return NULL;
    if (head->length < sizeof head->bytes)
        return NULL;
    *advice = "download it again";
    return "it begins with zeros: a download whose place was taken before, and that was not finished";
}
