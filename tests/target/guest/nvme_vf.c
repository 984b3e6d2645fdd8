/* Gives an NVMe virtual function its queues and interrupts and brings it online, as its physical
 * function's administrator has to (NVM Express 1.4, 8.5: Virtualization Enhancements):
 *
 *     nvme_vf /dev/nvme0 CONTROLLER-ID QUEUES INTERRUPTS
 */
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { VIRTUALIZATION_MANAGEMENT = 0x1c };              /* admin opcode, 5.22 */
enum { OFFLINE = 7, ASSIGN = 8, ONLINE = 9 };           /* secondary controller: CDW10 3:0 */
enum { QUEUE_RESOURCES = 0, INTERRUPT_RESOURCES = 1 };  /* CDW10 10:8 */

static int manage(int fd, unsigned controller, unsigned action, unsigned resource, unsigned count) {
    struct nvme_admin_cmd command;
    memset(&command, 0, sizeof(command));
    command.opcode = VIRTUALIZATION_MANAGEMENT;
    command.cdw10 = action | resource << 8 | controller << 16;
    command.cdw11 = count;
    const int status = ioctl(fd, NVME_IOCTL_ADMIN_CMD, &command);
    if (status != 0) fprintf(stderr, "action %u resource %u: status 0x%x\n", action, resource, (unsigned)status);
    return status;
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: nvme_vf DEVICE CONTROLLER-ID QUEUES INTERRUPTS\n");
        return 2;
    }
    const unsigned controller = (unsigned)strtoul(argv[2], NULL, 0);
    const int fd = open(argv[1], O_RDWR);
    if (fd < 0) {
        perror(argv[1]);
        return 1;
    }
    const int failed =
        manage(fd, controller, OFFLINE, 0, 0) != 0 ||
        manage(fd, controller, ASSIGN, QUEUE_RESOURCES, (unsigned)strtoul(argv[3], NULL, 0)) != 0 ||
        manage(fd, controller, ASSIGN, INTERRUPT_RESOURCES, (unsigned)strtoul(argv[4], NULL, 0)) != 0 ||
        manage(fd, controller, ONLINE, 0, 0) != 0;
    close(fd);
    return failed ? 1 : 0;
}
